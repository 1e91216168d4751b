"""One-off tasks by command: output, exit code, and an end when they are interrupted. Plain processes are run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Processes, processes, wait_for

TOOLS = """\
service: tools
jobs:
  web:
    command: [sleep, "1000"]
    env: {GREETING: hello}
    health: {tcp: 1}
    replicas: 2
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as running:
        running.master("--framework", "coding")
        running.executor("one", "--runtime", "process", "--resources", "cpus=4;memory=4GiB")
        wait_for("coding", lambda: running.session.call("coding", "push", {"files": [{"name": "f", "text": TOOLS}]}))
        yield running


def start(cluster: Processes, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "offerer.cli.main", "--master", cluster.address, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )


def test_a_command_runs_once_with_the_settings_of_a_job(cluster: Processes) -> None:
    running = start(cluster, "run", "tools/web", "--", "sh", "-c", "echo $GREETING $OFFERER_TASK; echo no >&2; exit 3")
    out, err = running.communicate(timeout=60)
    assert (out, err.splitlines()[-1], running.returncode) == ("hello tools/web/run-1\n", "no", 3), err
    (ran,) = cluster.session.call("coding", "history", {"target": "tools"})["containers"]
    assert (ran["task"], ran["state"], ran["exit_code"]) == ("tools/web/run-1", "FAILED", 3)
    assert cluster.session.call("coding", "ps", {})["tasks"] == []

    detached = start(cluster, "run", "tools/web", "-d", "--json", "--", "true")
    assert json.loads(detached.communicate(timeout=60)[0]) == {"task": "tools/web/run-2", "revision": 1}
    task = {"target": "tools/web/run-2"}
    wait_for("its end", lambda: cluster.session.call("coding", "task", task).get("ended"))
    assert cluster.session.call("coding", "task", task)["ended"]["exit_code"] == 0

    waiting = start(cluster, "run", "tools/web")
    wait_for("it to run", lambda: list(cluster.tasks("coding").values()) == ["RUNNING"])
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(60) == 130 and "tools/web/run-3 is being stopped" in waiting.communicate()[1]
    wait_for("its end", lambda: not cluster.tasks("coding"))
    nothing = start(cluster, "run", "tools")
    assert "tools is not SERVICE/JOB" in nothing.communicate(timeout=60)[1] and nothing.returncode == 1
