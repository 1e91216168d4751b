"""Probes of containers on a real Docker engine."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from offerer import SECOND, PortMapping, Probe, Reason, Resources, TaskState, TaskStatus
from tests.docker.test_executor import container_of, executor, shell
from tests.engine import Engine
from tests.small_master import SmallMaster, until

QUICK = SECOND // 5
SERVE = "mkdir /www; {} httpd -p 80 -h /www; while true; do sleep 0.1; done"


def quick(probe: Probe) -> Probe:
    return Probe(probe.http, probe.port, probe.command, QUICK, SECOND, failures=2, grace=0)


async def reported(master: SmallMaster, healthy: bool) -> TaskStatus:
    """The status that says so."""

    def arrived() -> TaskStatus | None:
        return next((each for each in master.statuses if each.healthy is healthy), None)

    found = await until(arrived, f"healthy is {healthy}")
    assert found is not None and found.state is TaskState.RUNNING
    return found


@pytest.mark.parametrize(
    ("probe", "problem"),
    [
        (Probe("/ok", 80), "GET :80/ok failed 2 times in a row: status 404"),
        (Probe(port=80), "connecting to port 80 failed 2 times in a row: Connect call failed"),
        (Probe(command=("cat", "/www/ok")), "cat /www/ok failed 2 times in a row: exit code 1 (cat: can't open"),
    ],
)
async def test_readiness_is_reported_and_nothing_else_happens(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path, probe: Probe, problem: str
) -> None:
    prepare = "until [ -e /go ]; do sleep 0.05; done; echo > /www/ok;" if not probe.http else ""
    spec = shell(
        SERVE.format(prepare), ports=(PortMapping(80, 31031),), readiness=quick(probe), stop_grace=0
    )
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", spec, Resources.of(ports="31031"))
        await master.status("t", TaskState.RUNNING)
        assert (await reported(master, False)).message.startswith(problem)
        container = container_of(client, "t")["Id"]
        client.exec_start(client.exec_create(container, ["sh", "-c", "echo > /www/ok; echo > /go"]))
        assert (await reported(master, True)).message == ""
        assert master.states("t") == ["STARTING", "RUNNING"] or master.states("t") == ["RUNNING"]


async def test_one_that_does_not_live_is_stopped_and_has_failed_and_a_new_executor_goes_on_asking(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    spec = shell("touch /alive; trap 'exit 0' TERM; while true; do sleep 0.1; done", liveness=quick(
        Probe(command=("ls", "/alive"))
    ))  # fmt: skip
    async with executor(master, engine, tmp_path) as process:
        await master.registered()
        await master.launch("t", spec)
        await reported(master, True)
        process.kill()
        await process.wait()
    master.statuses.clear()
    async with executor(master, engine, tmp_path):
        await master.registered(2)
        await reported(master, True)
        client.exec_start(client.exec_create(container_of(client, "t")["Id"], ["mv", "/alive", "/dead"]), detach=True)
        status = await master.status("t", TaskState.FAILED)
        assert (status.reason, status.exit_code) == (Reason.UNHEALTHY, 0)
        assert "stopped because it was unhealthy: ls /alive failed 2 times in a row: exit code 1" in status.message


async def test_a_command_that_hangs_is_no_answer(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    hangs = Probe(command=("sleep", "30"), interval=QUICK, timeout=QUICK, failures=1, grace=0)
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", shell("sleep 600", readiness=hangs, stop_grace=0))
        assert "no answer within 0.2 s" in (await reported(master, False)).message
