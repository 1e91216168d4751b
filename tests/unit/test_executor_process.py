"""The process runtime with real processes, and with executors that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from executor.process import ProcessRuntime
from executor.records import Exited, Outcome, Start, Task
from executor.spec import Host
from executor.task_directory import TaskDirectory, supervisor_lives
from offerer import (
    SECOND,
    ContainerSpec,
    FrameworkId,
    HostId,
    Mount,
    PortMapping,
    Probe,
    Reason,
    Resources,
    Secret,
    TaskId,
    TaskState,
    TaskStatus,
    Tmpfs,
)
from tests.processes import free_port, wait_for
from tests.small_master import SmallMaster, until

PYTHON = sys.executable


def python(code: str, **changes: object) -> ContainerSpec:
    return ContainerSpec(command=(PYTHON, "-I", "-S", "-c", code), **changes)  # type: ignore[arg-type]


SLEEPER = python("import time; print('up', flush=True); time.sleep(600)")

WAITER = python("import os, sys, time\nwhile not os.path.exists('end'): time.sleep(0.01)\nsys.exit(5)")


@pytest.fixture
async def master() -> AsyncIterator[SmallMaster]:
    async with SmallMaster().serving() as serving:
        yield serving


@pytest.fixture
def state_dir(tmp_path: Path) -> AsyncIterator[Path]:
    """A state directory whose processes are ended with the test."""
    yield tmp_path  # type: ignore[misc]
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if str(tmp_path) in " ".join(process.info["cmdline"] or ()) or str(tmp_path) in (process.info["cwd"] or ""):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@asynccontextmanager
async def executor(master: SmallMaster, state_dir: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``offerer-executor`` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, "-m", "executor", "--runtime", "process", "--address", "127.0.0.1", "--name", "db-1"),
        *("--master", master.address, "--state-dir", str(state_dir), *options),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_a_command_runs_and_its_exit_code_is_known(master: SmallMaster, state_dir: Path) -> None:
    async with executor(master, state_dir) as process:
        await master.registered()
        await master.launch("t", python("print('hello'); raise SystemExit(7)"))
        status = await master.status("t", TaskState.FAILED)
        assert (status.reason, status.exit_code) == (Reason.EXITED, 7)
        data = json.loads(status.data)
        assert data["started_at"] <= data["finished_at"] <= status.at
        assert await master.attach("t", follow=True) == (b"hello\n", b"", "")
        process.terminate()
        assert await process.wait() == 0


async def test_what_a_task_is_told(master: SmallMaster, state_dir: Path) -> None:
    spec = python(
        "import os; [print(k, os.environ[k]) for k in sorted(os.environ) if 'PORT' in k or 'OFFERER' in k or k == 'A']",
        env={"A": "1"},
        ports=(PortMapping(80, 31000, name="http-api"), PortMapping(53, 31001, "udp")),
    )
    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", spec, Resources.of(ports="31000-31001"))
        await master.status("t", TaskState.FINISHED)
        out, err, _ = await master.attach("t", tail=100)
    assert err == b""
    assert out.decode().splitlines() == [
        "A 1",
        "OFFERER_FRAMEWORK shop",
        "OFFERER_HOST db-1",
        "OFFERER_HOST_ADDRESS 127.0.0.1",
        "OFFERER_TASK_ID t",
        "PORT0 31000",
        "PORT1 31001",
        "PORT_HTTP_API 31000",
    ]


async def test_a_server_listens_on_its_host_port(master: SmallMaster, state_dir: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import os, socket; s = socket.create_server(('127.0.0.1', int(os.environ['PORT_HTTP']))); s.accept()"
    spec = ContainerSpec(command=(PYTHON, "-c", code), ports=(PortMapping(80, port, name="http"),))
    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", spec, Resources.of(ports=str(port)))
        await master.status("t", TaskState.RUNNING)

        def connected() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        await until(connected, "the port")
        await master.status("t", TaskState.FINISHED)


SERVER = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if pathlib.Path("ready").exists() and self.path == "/healthz" else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
"""


async def test_probes_see_what_the_task_does(master: SmallMaster, state_dir: Path) -> None:
    """Over HTTP on its host port, and by a command in its directory with its variables, secret ones too."""
    port = free_port()
    ready = Probe("/healthz", 80, interval=SECOND // 10, failures=1, grace=0)
    check = "import os, sys; sys.exit('it is dead' if os.path.exists('dead') or len(os.environ['KEY']) != 4 else 0)"
    live = Probe(command=(PYTHON, "-I", "-S", "-c", check), interval=SECOND // 10, failures=2, grace=0)
    spec = ContainerSpec(
        command=(PYTHON, "-c", SERVER),
        ports=(PortMapping(80, port, name="http"),),
        secrets=(Secret("key", "hush", env="KEY"),),
        readiness=ready,
        liveness=live,
    )

    def healthy(says: bool | None) -> list[TaskStatus]:
        return [each for each in master.statuses if each.state is TaskState.RUNNING and each.healthy is says]

    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", spec, Resources.of(ports=str(port)))
        [status] = await until(lambda: healthy(False)[-1:], "not ready")
        assert "GET :80/healthz failed once" in status.message
        [directory] = (state_dir / "tasks").iterdir()
        (directory / "work" / "ready").touch()
        await until(lambda: healthy(True), "ready")
        assert b"hush" not in (await master.attach("t"))[0] and "hush" not in (directory / "task.json").read_text()
        (directory / "work" / "dead").touch()
        status = await master.status("t", TaskState.FAILED)
        assert status.reason is Reason.UNHEALTHY
        assert "failed 2 times in a row: exit code 1 (it is dead)" in status.message


@pytest.mark.parametrize(
    ("spec", "state", "words"),
    [
        (ContainerSpec(image="web:1"), TaskState.ERROR, "spec.command: () must be given"),
        (python("", user="nobody"), TaskState.ERROR, "spec.user: 'nobody' cannot be had"),
        (python("", volumes=(Mount("/a", "/b"),)), TaskState.ERROR, "cannot show /a as /b; use the same path"),
        (ContainerSpec(command=("no-such-command",)), TaskState.FAILED, "no-such-command: No such file"),
        (python("", tmpfs=(Tmpfs("/scratch"),)), TaskState.ERROR, "spec.tmpfs: "),
        (python("", secrets=(Secret("key", "hush"),)), TaskState.ERROR, "'key' cannot be a file"),
        (python("", init_steps=(ContainerSpec(name="a"),)), TaskState.ERROR, "spec.init_steps: it cannot be had from"),
        (python("", working_dir="/no/such/dir"), TaskState.FAILED, "/no/such/dir: No such file or directory"),
    ],
)
async def test_what_cannot_be_run(
    master: SmallMaster, state_dir: Path, spec: ContainerSpec, state: TaskState, words: str
) -> None:
    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", spec)
        status = await master.status("t", state)
        assert words in status.message


async def test_kill_sends_the_stop_signal_and_after_the_grace_ends_the_whole_group(
    master: SmallMaster, state_dir: Path
) -> None:
    stubborn = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\n"
        "child = os.fork()\n"
        "print(child, flush=True) if child else None\n"
        "while True: time.sleep(600)"
    )
    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", python(stubborn))
        await master.launch("obedient", SLEEPER)
        await master.status("t", TaskState.RUNNING)
        out, _, _ = await master.attach("t", enough=b"\n", follow=True)
        child = int(out.split()[0])
        await master.attach("obedient", enough=b"up\n", follow=True)
        await master.kill("obedient")
        assert (await master.status("obedient", TaskState.KILLED)).exit_code == 143
        await master.kill("t", grace=SECOND // 2)
        assert (await master.status("t", TaskState.KILLED)).exit_code == 137
        assert (await master.attach("t", follow=True))[0].endswith(b"no\nno\n")  # parent and child were asked
        await until(lambda: not psutil.pid_exists(child), "the child is gone too")


async def test_kill_9_of_the_executor_stops_nothing_and_the_next_one_adopts(
    master: SmallMaster, state_dir: Path
) -> None:
    resources = Resources.of(cpus=0.25, memory=123_456_789, ports="31000-31002")
    async with executor(master, state_dir) as process:
        await master.registered()
        for task_id in ("stays", "ends", "dies"):
            await master.launch(task_id, WAITER, resources)
            await master.status(task_id, TaskState.RUNNING)
        pids = {each.task_id: json.loads(each.data)["pid"] for each in master.statuses}
        process.kill()
        await process.wait()
    assert all(psutil.pid_exists(pid) for pid in pids.values())
    [work] = (state_dir / "tasks").glob("shop.ends.*/work")
    (work / "end").touch()
    os.kill(psutil.Process(pids["dies"]).ppid(), signal.SIGKILL)  # its supervisor
    await until(lambda: not psutil.pid_exists(pids["ends"]), "the process ends while no executor is there")
    master.statuses.clear()
    async with executor(master, state_dir):
        held = {each.status.task_id: each for each in (await master.registered(2)).tasks}
        assert set(held) == {"stays", "ends", "dies"}
        assert str(held["stays"].resources).count("31002") == 1 and held["stays"].resources.memory == 123_456_789
        assert (await master.status("ends", TaskState.FAILED)).exit_code == 5
        lost = await master.status("dies", TaskState.FAILED)
        assert lost.reason is Reason.CONTAINER_LOST and "not known" in lost.message
        await until(lambda: not psutil.pid_exists(pids["dies"]), "what nobody can watch is killed")
        adopted = await master.status("stays", TaskState.RUNNING)
        assert json.loads(adopted.data)["pid"] == pids["stays"]
        [work] = (state_dir / "tasks").glob("shop.stays.*/work")
        (work / "end").touch()
        assert (await master.status("stays", TaskState.FAILED)).exit_code == 5  # of a process that is not its child
        await master.acknowledged("ends")
    master.statuses.clear()
    async with executor(master, state_dir):
        assert not (await master.registered(3)).tasks  # what was acknowledged is history
        assert (await master.attach("ends"))[0]  # which can still be looked at
    assert not master.statuses


async def test_a_kill_outlives_the_executor(master: SmallMaster, state_dir: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    async with executor(master, state_dir) as process:
        await master.registered()
        await master.launch("t", python(stubborn))
        await master.attach_when_running("t", b"up\n")
        await master.kill("t", grace=SECOND)
        await master.status("t", TaskState.KILLING)
        process.kill()
        await process.wait()
    async with executor(master, state_dir):
        await master.registered(2)
        assert (await master.status("t", TaskState.KILLED)).exit_code == 137


async def test_logs_follow_and_tail(master: SmallMaster, state_dir: Path) -> None:
    code = "import sys\nfor n in range(30000): print('line', n)\nprint('error', file=sys.stderr)"
    async with executor(master, state_dir):
        await master.registered()
        await master.launch("t", python(code))
        await master.status("t", TaskState.FINISHED)
        out, err, _ = await master.attach("t", follow=False)
        assert (out.count(b"\n"), err) == (30000, b"error\n")
        assert (await master.attach("t", tail=2))[0] == b"line 29998\nline 29999\n"
        assert (await master.attach("t", tail=0))[0] == b""
        assert (await master.attach("t", tail=20000))[0].startswith(b"line 10000\n")
        assert (await master.attach("t", tail=99999))[0].count(b"\n") == 30000
        assert "ask without timestamps" in (await master.attach("t", timestamps=True))[2]
        assert "did not run on this host" in (await master.attach("nix", follow=True))[2]


async def test_ended_tasks_are_kept_as_history_and_then_removed(master: SmallMaster, state_dir: Path) -> None:
    async with executor(master, state_dir, "--keep-last", "2"):
        await master.registered()
        for n in range(4):
            await master.launch(f"t{n}", python(""))
            await master.status(f"t{n}", TaskState.FINISHED)
        await until(lambda: len(list((state_dir / "tasks").iterdir())) == 2, "the first two are gone")
        assert [path.name[:7] for path in sorted((state_dir / "tasks").iterdir())] == ["shop.t2", "shop.t3"]


async def test_an_end_that_comes_before_anybody_watches_is_noticed(tmp_path: Path) -> None:
    runtime, events = ProcessRuntime(tmp_path), []
    await runtime.open(Host(HostId("db-1"), "db-1"), events.append)
    task = Task((FrameworkId("shop"), TaskId("t")), Resources())
    task.spec = python("raise SystemExit(3)")

    def wait_for_its_end(_operation: object, outcome: Outcome) -> None:
        (path,) = tmp_path.iterdir()
        watch = TaskDirectory(path).watch()
        wait_for("the end of its supervisor", lambda: not supervisor_lives(watch))
        os.close(watch)

    try:
        runtime.submit(Start(task), wait_for_its_end)
        await until(lambda: events, "its end")
        assert [(type(each), each.exit_code) for each in events] == [(Exited, 3)]
    finally:
        await runtime.close()
