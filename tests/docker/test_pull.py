"""Pulling from a real registry: what is missing is pulled, once for all who wait, and its digest is told."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerer import ContainerSpec, Reason, Resources, TaskState
from tests.docker.test_executor import executor
from tests.engine import Engine
from tests.processes import free_port, wait_for
from tests.small_master import SmallMaster

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
WITH_PASSWORD = "auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}\n"
HASH = "$2b$04$twBmZjzrvgi3JBG3.ztvte77KVK3HtTd0xYfFlq4.4aMHnWf4BDCe"  # of "secret"


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A registry on this machine; its address. The engine takes it without TLS. With a parameter, it wants a login."""
    program = shutil.which("docker-registry")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("docker-registry is not installed: apt-get install docker-registry")
    port = free_port()
    config = tmp_path / "registry.yml"
    closed = getattr(request, "param", False)
    config.write_text((CONFIG + (WITH_PASSWORD if closed else "")).format(directory=tmp_path / "registry", port=port))
    if closed:
        (tmp_path / "registry").mkdir()
        (tmp_path / "registry" / "htpasswd").write_text(f"me:{HASH}\n")
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
    except urllib.error.HTTPError as error:
        return error.code == 401
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


@pytest.mark.parametrize("registry", [True], indirect=True)
async def test_a_registry_that_wants_a_login_is_given_that_of_the_docker_configuration(
    engine: Engine,
    master: SmallMaster,
    client: object,
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody logs in while the executor runs: the next pull has it."""
    image = f"{registry}/coding/web:1"
    engine.import_busybox(image)
    with engine.client() as api:
        pushed = api.push(image, auth_config={"username": "me", "password": "secret"})
        assert '"error"' not in pushed, pushed
        api.remove_image(image, force=True)
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    spec = ContainerSpec(image=image, command=("sleep", "600"), stop_grace=0)
    async with executor(master, engine, tmp_path / "state"):
        await master.registered()
        await master.launch("stranger", spec)
        status = await master.status("stranger", TaskState.FAILED)
        assert status.reason is Reason.IMAGE_PULL_FAILED and "no basic auth credentials" in status.message
        login = base64.b64encode(b"me:secret").decode()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {registry: {"auth": login}}}))
        await master.launch("known", spec)
        await master.status("known", TaskState.RUNNING)
    with engine.client() as api:
        api.remove_image(image, force=True)
