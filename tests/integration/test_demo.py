"""`offerer dev` and the shop: real services that answer real requests, as containers and as plain processes.

The shop's ports are fixed, so each test takes a copy of it with other ones, and may run beside a demo.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

from offerer.cli.common import Session
from tests.engine import Engine, missing, running_engine
from tests.processes import ROOT, free_port, wait_for

SERVICES = ("storefront", "ads", "search", "catalog", "reviews", "users", "cart", "orders", "payments", "shipping",
            "stock", "mail", "database")  # fmt: skip
TASKS = 17


class Shop:
    """A copy of the example in a directory of its own, on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "shop"
        shutil.copytree(ROOT / "examples" / "shop", self.directory)
        first = next(base for base in range(83, 99) if _free(base))
        for file in (*self.directory.glob("*.yaml"), self.directory / "demo.sh"):
            file.write_text(re.sub(r"\b81(\d\d)\b", rf"{first}\1", file.read_text()))
        self.files = sorted(str(file) for file in self.directory.glob("*.yaml"))
        self.url = f"http://127.0.0.1:{first}00/"

    def page(self) -> str:
        """What the storefront shows."""
        with urllib.request.urlopen(self.url, timeout=20) as response:
            return str(response.read().decode())


def _free(base: int) -> bool:
    for port in range(base * 100, base * 100 + 15):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return True


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine() as running:
        yield running


class Dev:
    """An ``offerer dev`` that runs beside the test."""

    def __init__(self, directory: Path, *arguments: str, **env: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._log = directory / "dev.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "offerer.cli.main", "dev", "--listen", self.address, *arguments],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(**env),
            )  # fmt: skip

    def says(self, text: str) -> bool:
        """Whether it has printed this; fails where it has ended."""
        assert self.process.poll() is None or text in self.output(), self.output()
        return text in self.output()

    def output(self) -> str:
        """All it has printed."""
        return self._log.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextlib.contextmanager
def running_dev(directory: Path, *arguments: str, **env: str) -> Iterator[Dev]:
    dev = Dev(directory, *arguments, **env)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.interrupt()


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DOCKER_HOST", "OFFERER_MASTER")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def run_dev(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run to the end. One that hangs is aborted, and says where it hung."""
    command = ["timeout", "-s", "ABRT", "60", sys.executable, "-X", "faulthandler", "-m", "offerer.cli.main", "dev"]
    return subprocess.run(
        [*command, "--listen", f"127.0.0.1:{free_port()}", *arguments],
        capture_output=True, text=True, timeout=150, check=False, env=environment(**env), cwd=cwd,
    )  # fmt: skip


def processes_of(directory: Path) -> list[str]:
    """Command lines of what runs from this directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(directory) in command and "pytest" not in command:
            found.append(command)
    return found


# -- as plain processes ---------------------------------------------------------------------------------------


def test_the_shop_comes_up_as_plain_processes_and_serves(shop: Shop, tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = ("--up", "--runtime", "process", "--state-dir", str(state))
    with running_dev(tmp_path, *shop.files, *options) as dev:
        wait_for("the shop", lambda: dev.says("Ctrl-C ends"))
        page = shop.page()
        for service in SERVICES:
            assert f"{service} on host-" in page
        assert "does not answer" not in page
        tasks = Session(dev.address).call("coding", "ps", {})["tasks"]
        assert [task["state"] for task in tasks] == ["RUNNING"] * TASKS
        where = {f"{task['job']}/{task['task']}": task["host"] for task in tasks}
        assert (where["database/primary"], where["database/replica"]) == ("host-1", "host-2")
        assert where["payments/1"] == "host-1"  # by its zone
        assert dev.interrupt() == 0
    assert processes_of(tmp_path) == []
    with pytest.raises(OSError):
        shop.page()

    # What was up is up again the next time, from the same directory, without any file.
    with running_dev(tmp_path, "--runtime", "process", "--state-dir", str(state),
                     PATH=f"{shop.directory}:{environment()['PATH']}") as dev:  # fmt: skip
        session = Session(dev.address)
        wait_for("the shop again", lambda: _states(session) == ["RUNNING"] * TASKS)
        assert "does not answer" not in wait_for("the page", lambda: _page(shop))
        session.close()
    assert processes_of(tmp_path) == []


def _states(session: Session) -> list[str]:
    return [task["state"] for task in session.call("coding", "ps", {})["tasks"]]


def _page(shop: Shop) -> str:
    with contextlib.suppress(OSError):
        page = shop.page()
        return "" if "does not answer" in page else page
    return ""


def test_once_ends_with_0_when_all_runs(shop: Shop, tmp_path: Path) -> None:
    done = run_dev(*shop.files, "--up", "--once", "--runtime", "process", "--hosts", "4")
    assert (done.returncode, done.stderr) == (0, "")
    table = done.stdout[done.stdout.index("TASK ") :].splitlines()
    assert len(table) == 1 + TASKS
    assert all(" RUNNING " in line for line in table[1:])
    assert processes_of(tmp_path) == []


def test_once_ends_with_1_and_the_reasons_when_something_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("""
service: broken
jobs:
  ends:
    command: [sh, -c, "echo no database; exit 3"]
  missing:
    command: [no-such-program]
  elsewhere:
    command: [sleep, "60"]
    host: db-1
  fine:
    command: [sleep, "60"]
""")
    done = run_dev(str(file), "--up", "--once", "--runtime", "process", "--timeout", "4s")
    assert done.returncode == 1
    errors = dict(re.findall(r"error: broken/(\w+)/1 does not run within 4 s: (.*)", done.stderr))
    assert set(errors) == {"ends", "missing", "elsewhere"}
    assert "exited with code 3; next attempt in" in errors["ends"]
    assert "no-such-program" in errors["missing"] and "db-1" in errors["elsewhere"]
    assert "Traceback" not in done.stderr
    assert processes_of(tmp_path) == []


def test_a_broken_file_is_told_with_its_line_and_nothing_stays(tmp_path: Path) -> None:
    file = tmp_path / "typo.yaml"
    file.write_text("service: typo\njobs:\n  web:\n    comand: [sleep]\n")
    done = run_dev(str(file), "--up", "--runtime", "fake")
    assert done.returncode == 1
    assert f"error: {file}:4" in done.stderr and "comand" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_while_it_comes_up_ends_it_cleanly(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "never.yaml"
    jobs = "{x: {command: [sleep, '60'], replicas: 3}, y: {command: [x], host: z}}"
    file.write_text(f"service: never\njobs: {jobs}\n")
    options = ("--up", "--runtime", "process", "--state-dir", str(tmp_path / "state"))
    with running_dev(tmp_path, str(file), *options) as dev:
        wait_for("three tasks", lambda: dev.output().count("RUNNING on") == 3)
        assert dev.interrupt() == 130
        assert "Traceback" not in dev.output()
    assert processes_of(tmp_path) == []


def test_a_second_dev_takes_another_port_and_says_which(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # then another program of this machine has it, which is as good
            taken.bind(("127.0.0.1", 5050))
            taken.listen()
        with contextlib.ExitStack() as stack:
            process = subprocess.Popen(
                [sys.executable, "-m", "offerer.cli.main", "dev", "--runtime", "fake"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout is not None
            stack.callback(process.stdout.close)
            first = process.stdout.readline()
            address = re.findall(r"answers at (127\.0\.0\.1:\d+); 3 hosts, runtime fake", first)[0]
            assert address != "127.0.0.1:5050"
            assert f"export OFFERER_MASTER={address}" in process.stdout.readline()
            session = Session(address)
            wait_for("three hosts", lambda: len(session.state("hosts").hosts) == 3)
            session.close()


def test_an_address_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "offerer.cli.main", "dev", "--runtime", "fake", "--listen", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot listen on {address}") and done.stderr.count("\n") == 1


def test_without_an_engine_it_says_so_and_runs_processes(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("service: one\njobs: {x: {command: [sleep, '60']}}\n")
    done = run_dev(str(file), "--up", "--once", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 0
    assert "No Docker engine answers" in done.stderr and "runtime process" in done.stdout
    refused = run_dev(str(file), "--up", "--once", "--runtime", "docker", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert refused.returncode == 1
    assert "no Docker engine answers" in refused.stderr and "Traceback" not in refused.stderr


def test_the_same_file_runs_on_a_laptop_with_an_overlay_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("service: one\njobs: {x: {image: 'x:1', host: db-1, env_file: x.env}}\n")
    (tmp_path / "one.dev.yaml").write_text("jobs: {x: {host: , replicas: 2}}\n")
    (tmp_path / "x.env").write_text("A=1\n")
    done = run_dev(str(file), "--up", "--once", "--runtime", "fake", "--env", "dev", PYTHONPATH=str(ROOT), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "one@dev/x/1" in done.stdout and "one@dev/x/2" in done.stdout
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["one.dev.yaml", "one.yaml", "x.env"], "nothing is committed where nobody asked for it"


# -- as containers --------------------------------------------------------------------------------------------


def containers(engine: Engine, *, all: bool = True) -> list[dict[str, Any]]:
    with contextlib.closing(docker.APIClient(engine.url, version="auto")) as client:
        listed: list[dict[str, Any]] = client.containers(all=all)
        return listed


@pytest.mark.docker
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_shop_comes_up_in_containers_and_serves(shop: Shop, tmp_path: Path, engine: Engine) -> None:
    make_image = [sys.executable, str(shop.directory / "image.py")]
    env = environment(DOCKER_HOST=engine.url)
    assert subprocess.run(make_image, env=env, check=True, capture_output=True, text=True).stdout.startswith("made ")
    assert subprocess.run(make_image, env=env, check=True, capture_output=True, text=True).stdout == ""
    with running_dev(tmp_path, *shop.files, "--up", DOCKER_HOST=engine.url) as dev:
        wait_for("the shop", lambda: dev.says("Ctrl-C ends"), 120)
        assert "runtime docker" in dev.output()
        page = shop.page()
        for service in SERVICES:
            assert f"{service} on host-" in page
        assert "does not answer" not in page
        running = containers(engine)
        assert [each["State"] for each in running] == ["running"] * TASKS
        assert {each["Image"] for each in running} == {"offerer/shop:1"}
        jobs = [each["Command"].split()[-1] for each in running]
        assert set(jobs) == {*SERVICES, "packer"} and jobs.count("packer") == 3
        started = time.monotonic()
        assert dev.interrupt() == 0
        assert time.monotonic() - started < 10  # they end when asked, and are not killed after their grace
    assert containers(engine) == []


@pytest.mark.docker
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_make_demo_brings_its_own_engine_and_leaves_nothing(shop: Shop) -> None:
    interfaces, engines = set(psutil.net_if_addrs()), _engines()
    done = subprocess.run(
        [str(shop.directory / "demo.sh"), "--once", "--listen", f"127.0.0.1:{free_port()}"],
        capture_output=True, text=True, timeout=200, check=False,
        env=environment(DOCKER_HOST=f"unix://{shop.directory}/none.sock"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Started a Docker engine for the demo." in done.stdout and "runtime docker" in done.stdout
    assert done.stdout.count(" RUNNING  host-") == TASKS
    assert _engines() == engines
    assert "docker0" not in set(psutil.net_if_addrs()) - interfaces


def _engines() -> set[int]:
    return {process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "dockerd"}


def test_the_page_is_what_the_services_say() -> None:
    """The shop's script on its own: a service that is down is named on the page."""
    with contextlib.ExitStack() as stack:
        ports = [free_port(), free_port(), free_port()]
        script = str(ROOT / "examples" / "shop" / "shop")
        for name, port, calls in (("mail", ports[0], ""), ("storefront", ports[1], f"mail:{ports[0]} ads:{ports[2]}")):
            process = subprocess.Popen(
                [script, name], env=environment(PORT_HTTP=str(port), CALLS=calls), stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout is not None
            stack.callback(process.stdout.close)
            assert json.dumps(process.stdout.readline()) == json.dumps(f"{name} listens on port {port}\n")

        def page() -> str:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/") as response:
                return str(response.read().decode())
            return ""

        shown = wait_for("the page", lambda: "no letters" in page() and page())
        assert "mail on this host: no letters in the queue" in shown and "ads does not answer" in shown
