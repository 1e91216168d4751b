"""Pulling from a real registry: what is missing is pulled, once for all who wait, and its digest is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerer import ContainerSpec, Resources, TaskState
from tests.docker.test_executor import executor
from tests.engine import Engine
from tests.processes import free_port, wait_for
from tests.small_master import SmallMaster

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry on this machine; its address. The engine takes 127.0.0.1 without TLS."""
    program = shutil.which("docker-registry")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("docker-registry is not installed: apt-get install docker-registry")
    port = free_port()
    config = tmp_path / "registry.yml"
    config.write_text(CONFIG.format(directory=tmp_path / "registry", port=port))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_for("the registry", lambda: _answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def test_a_missing_image_is_pulled_and_run(
    engine: Engine, master: SmallMaster, client: object, registry: str, tmp_path: Path
) -> None:
    image = f"{registry}/coding/web:20160531"
    engine.import_busybox(image)
    with engine.client() as api:
        pushed = [json.loads(line) for line in api.push(image).splitlines()]
        assert not [line for line in pushed if "error" in line], pushed
        api.remove_image(image, force=True)
    spec = ContainerSpec(image=image, command=("sleep", "600"), stop_grace=0)
    async with executor(master, engine, tmp_path / "state"):
        await master.registered()
        for i in range(3):
            await master.launch(f"web-{i}", spec, Resources.of(cpus=0.1, memory="16MiB"))
        for i in range(3):
            status = await master.status(f"web-{i}", TaskState.RUNNING)
            assert json.loads(status.data)["image"] == image
    with engine.client() as api:
        assert api.images(image), "it was pulled"
        api.remove_image(image, force=True)
