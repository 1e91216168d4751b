"""The executor on a real Docker engine: what is checked of containers is asked of the engine, not of the executor."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import psutil
import pytest

from offerer import SECOND, ContainerSpec, Mount, PortMapping, Reason, Resources, TaskState
from tests.engine import Engine, running_engine
from tests.small_master import FRAMEWORK, SmallMaster, until

IMAGE = "busybox:1"
SLEEPER = ContainerSpec(image=IMAGE, command=("sleep", "600"), stop_grace=0)


def shell(script: str, **changes: object) -> ContainerSpec:
    return ContainerSpec(image=IMAGE, command=("sh", "-c", script), **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def executor(
    master: SmallMaster, engine: Engine, state_dir: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``offerer-executor`` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "executor", "--runtime", "docker", "--docker-host", engine.url, "--name", "db-1"),
        *("--address", "10.1.2.3", "--master", master.address, "--state-dir", str(state_dir), *options),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def container_of(client: docker.APIClient, task_id: str) -> dict:  # type: ignore[type-arg]
    """What the engine says of the task's only container."""
    labels = [f"offerer.framework={FRAMEWORK}", f"offerer.task={task_id}"]
    [found] = client.containers(all=True, filters={"label": labels})
    return client.inspect_container(found["Id"])


async def test_a_task_is_a_container_with_its_limits_and_settings(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    spec = ContainerSpec(
        image=IMAGE,
        command=("httpd", "-f", "-p", "80", "-h", "/data"),
        env={"MODE": "production"},
        ports=(PortMapping(80, 31001, name="http"),),
        volumes=(Mount(str(tmp_path / "data"), "/data", read_only=True),),
        labels={"team": "core"},
        working_dir="/tmp",
        stop_grace=0,
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index.html").write_text("hello")
    async with executor(master, engine, tmp_path / "state"):
        host = await master.registered()
        await master.launch("web-1", spec, Resources.of(cpus=0.5, memory="64MiB", ports="31001"))
        status = await master.status("web-1", TaskState.RUNNING)
        found = container_of(client, "web-1")
        limits = found["HostConfig"]
        assert (limits["NanoCpus"], limits["Memory"], limits["MemorySwap"]) == (500_000_000, 64 << 20, 64 << 20)
        assert found["Name"].startswith("/shop.web-1.")
        assert found["Config"]["Labels"]["team"] == "core"
        assert found["Config"]["Labels"]["offerer.host"] == host.host_id
        environment = dict(each.split("=", 1) for each in found["Config"]["Env"])
        assert environment["MODE"] == "production"
        assert (environment["PORT_HTTP"], environment["PORT0"]) == ("31001", "31001")
        assert (environment["OFFERER_HOST"], environment["OFFERER_HOST_ADDRESS"]) == ("db-1", "10.1.2.3")
        data = json.loads(status.data)
        assert (data["container"], data["image"]) == (found["Id"][:12], IMAGE)
        assert data["ip"] == found["NetworkSettings"]["IPAddress"] and data["image_digest"] == found["Image"]

        def served() -> bytes:
            try:
                with urllib.request.urlopen("http://127.0.0.1:31001/", timeout=5) as answer:
                    return bytes(answer.read())
            except OSError:
                return b""

        assert await until(lambda: served(), "the page") == b"hello"
        await master.kill("web-1")
        assert (await master.status("web-1", TaskState.KILLED)).exit_code == 137
        assert master.states("web-1")[-3:] == ["RUNNING", "KILLING", "KILLED"]


@pytest.mark.parametrize(
    ("spec", "state", "reason", "code"),
    [
        (shell("exit 0"), TaskState.FINISHED, Reason.EXITED, 0),
        (shell("exit 3"), TaskState.FAILED, Reason.EXITED, 3),
        (shell("dd if=/dev/zero of=/dev/null bs=64M"), TaskState.FAILED, Reason.OUT_OF_MEMORY, 137),
    ],
)
async def test_how_a_task_ends(
    master: SmallMaster,
    engine: Engine,
    client: docker.APIClient,
    tmp_path: Path,
    spec: ContainerSpec,
    state: TaskState,
    reason: Reason,
    code: int,
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", spec, Resources.of(cpus=1, memory="16MiB"))
        status = await master.status("t", state)
        assert (status.reason, status.exit_code) == (reason, code)
        data = json.loads(status.data)
        # Not which was first: the engine notes the start of a short command after its end.
        assert status.at - 30 * SECOND < min(data["started_at"], data["finished_at"]) <= status.at


@pytest.mark.parametrize(
    ("spec", "state", "reason", "words"),
    [
        (ContainerSpec(image="localhost:1/no/such:9"), TaskState.FAILED, Reason.IMAGE_PULL_FAILED,
         "cannot pull image localhost:1/no/such:9: "),
        (ContainerSpec(image="no-such:9", pull="never"), TaskState.FAILED, Reason.IMAGE_PULL_FAILED, "No such image"),
        (ContainerSpec(image=IMAGE, command=("nix",)), TaskState.FAILED, Reason.START_FAILED, '"nix": executable file'),
        (ContainerSpec(command=("sh",)), TaskState.ERROR, Reason.INVALID_SPEC, "spec.image: '' must name an image"),
        (ContainerSpec(image=IMAGE, user="nobody-here"), TaskState.FAILED, Reason.START_FAILED, "nobody-here"),
    ],
)  # fmt: skip
async def test_what_cannot_be_started(
    master: SmallMaster,
    engine: Engine,
    client: docker.APIClient,
    tmp_path: Path,
    spec: ContainerSpec,
    state: TaskState,
    reason: Reason,
    words: str,
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", spec)
        status = await master.status("t", state)
        assert status.reason is reason and words in status.message, status
        await until(lambda: not client.containers(all=True), "nothing is left")


async def test_a_missing_image_is_pulled_from_its_registry_and_the_user_told(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", ContainerSpec(image="localhost:1/no/such:9"))
        await master.status("t", TaskState.FAILED)
        assert [each.message for each in master.statuses][0] == "pulling image localhost:1/no/such:9"


async def test_a_port_that_is_taken(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    spec = ContainerSpec(image=IMAGE, command=("sleep", "600"), ports=(PortMapping(80, 31002),))
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("first", spec, Resources.of(ports="31002"))
        await master.status("first", TaskState.RUNNING)
        await master.launch("second", spec, Resources.of(ports="31002"))
        status = await master.status("second", TaskState.FAILED)
        assert status.reason is Reason.START_FAILED and "port is already allocated" in status.message


async def test_a_container_removed_behind_our_back(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        for task_id in ("removed", "killed"):
            await master.launch(task_id, SLEEPER)
            await master.status(task_id, TaskState.RUNNING)
        client.remove_container(container_of(client, "removed")["Id"], force=True)
        status = await master.status("removed", TaskState.FAILED)
        assert (status.reason, status.message) == (Reason.CONTAINER_LOST, "the container was removed by somebody else")
        client.kill(container_of(client, "killed")["Id"])
        status = await master.status("killed", TaskState.FAILED)
        assert (status.reason, status.exit_code) == (Reason.EXITED, 137)


async def test_a_restarted_executor_adopts_what_runs_and_notices_what_happened_meanwhile(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    resources = Resources.of(cpus=0.25, memory="16MiB", ports="31003-31004")
    spec = shell("trap 'exit 5' TERM; echo up; while true; do sleep 0.1; done")
    async with executor(master, engine, tmp_path) as process:
        await master.registered()
        for task_id in ("stays", "ends", "goes", "stopping"):
            await master.launch(task_id, spec, resources)
            await master.attach_when_running(task_id, b"up\n")
        master.acknowledges = False
        process.kill()
        await process.wait()
    containers = {each: container_of(client, each) for each in ("stays", "ends", "goes")}
    assert all(each["State"]["Running"] for each in containers.values())
    client.kill(containers["ends"]["Id"], "SIGTERM")
    client.remove_container(containers["goes"]["Id"], force=True)
    master.statuses.clear()
    master.acknowledges = True
    async with executor(master, engine, tmp_path) as process:
        held = {each.status.task_id: each for each in (await master.registered(2)).tasks}
        assert set(held) == {"stays", "ends", "stopping"}  # of "goes" there is no trace: the master sees it is missing
        assert held["stays"].resources.memory == 16 << 20 and held["stays"].resources.ports[0].last == 31004
        assert (await master.status("ends", TaskState.FAILED)).exit_code == 5
        adopted = await master.status("stays", TaskState.RUNNING)
        assert json.loads(adopted.data)["container"] == containers["stays"]["Id"][:12]
        await master.kill("stopping", grace=600 * SECOND)
        assert (await master.status("stopping", TaskState.KILLED)).exit_code == 5
        await master.acknowledged("ends")
    assert container_of(client, "stays")["State"]["Running"]
    master.statuses.clear()
    async with executor(master, engine, tmp_path):
        held = {each.status.task_id: each for each in (await master.registered(3)).tasks}
        assert set(held) == {"stays"}  # the ends that were acknowledged are history, which can be looked at
        assert (await master.attach("ends", tail=10))[0] == b"up\n"
    assert {each.task_id for each in master.statuses} == {"stays"}


async def test_another_executor_of_the_same_engine_leaves_these_containers_alone(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path / "one"):
        await master.registered()
        await master.launch("t", SLEEPER)
        await master.status("t", TaskState.RUNNING)
        async with executor(master, engine, tmp_path / "two"):
            assert not (await master.registered(2)).tasks


async def test_logs_come_as_they_are_written_and_say_on_which_output(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path):
        await master.registered()
        await master.launch("t", shell("seq 1 2000; echo oops >&2; sleep 600", stop_grace=0))
        await master.status("t", TaskState.RUNNING)
        out, err, _ = await master.attach("t", follow=True, enough=b"2000\n")
        assert out.count(b"\n") == 2000
        await until(lambda: b"oops" in client.logs(container_of(client, "t")["Id"], stdout=False), "the last line")
        out, err, _ = await master.attach("t", tail=1)
        assert out + err in (b"oops\n", b"2000\n")  # the engine does not keep the order of the two outputs
        out, err, _ = await master.attach("t", tail=2, timestamps=True)
        lines = (out + err).splitlines()
        assert len(lines) == 2 and all(line.startswith(b"20") and b"Z " in line for line in lines)
        assert json.loads((await master.attach("t"))[0])["Name"].startswith("/shop.t.")
        assert "has no container on this host" in (await master.attach("nix", follow=True))[2]


async def test_ended_containers_are_kept_for_each_job_and_the_older_ones_removed(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path, "--keep-last", "1"):
        await master.registered()
        for n in range(3):
            for job in ("web", "db"):
                await master.launch(f"{job}-{n}", shell("exit 0", labels={"offerer.group": job}))
                await master.status(f"{job}-{n}", TaskState.FINISHED)
        await until(lambda: len(client.containers(all=True)) == 2, "one of each job is left")
        assert {each["Labels"]["offerer.task"] for each in client.containers(all=True)} == {"web-2", "db-2"}


async def test_nothing_is_missed_when_the_engine_dies_and_comes_back(tmp_path: Path, engine: Engine) -> None:
    with running_engine() as own:
        own.import_busybox(IMAGE)
        async with SmallMaster().serving() as master, executor(master, own, tmp_path):
            await master.registered()
            await master.launch("before", SLEEPER)
            await master.status("before", TaskState.RUNNING)
            own.halt(kill=True)
            await master.launch("meanwhile", SLEEPER)
            status = await master.status("meanwhile", TaskState.STARTING)
            assert "the Docker engine does not answer" in status.message
            own.start()  # an engine that was killed ends what ran when it comes back
            assert (await master.status("before", TaskState.FAILED)).reason is Reason.EXITED
            await master.status("meanwhile", TaskState.RUNNING)


async def test_no_engine_is_one_clear_line(tmp_path: Path, engine: Engine) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "executor", "--docker-host", "unix:///no/such.sock", "--state-dir", str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    [line] = said.decode().splitlines()
    assert line.startswith("error: no Docker engine answers at unix:///no/such.sock (No such file or directory)")


async def test_an_idle_executor_is_small(
    master: SmallMaster, engine: Engine, client: docker.APIClient, tmp_path: Path
) -> None:
    async with executor(master, engine, tmp_path) as process:
        await master.registered()
        for n in range(8):
            await master.launch(f"t{n}", SLEEPER)
        for n in range(8):
            await master.status(f"t{n}", TaskState.RUNNING)
        assert psutil.Process(process.pid).memory_info().rss < 80 << 20
