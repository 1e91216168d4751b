"""What the executor finds out of its machine, keeps in its state directory, and says of bad command lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from executor.docker import engine_answers
from executor.host import hold_state_dir, own_address, total_resources
from executor.marks import Marks
from executor.records import Killing, Settled
from executor.runtime import make_runtime
from offerer import FrameworkId, InvalidInput, Resources, TaskId

A, B = (FrameworkId("shop"), TaskId("a")), (FrameworkId("shop"), TaskId("b"))


def test_resources_are_those_of_the_machine_unless_named(tmp_path: Path) -> None:
    total = total_resources("", tmp_path / "not" / "there" / "yet")
    assert total.cpus == (psutil.cpu_count() or 1) * 1000
    assert total.memory == psutil.virtual_memory().total
    assert total.disk == psutil.disk_usage(str(tmp_path)).total
    assert total.ports == ((1, 32767),)
    named = total_resources("cpus=64; memory=1GiB;disk=0;ports=31000-32000;gpus=2;licences=3", tmp_path)
    assert named == Resources.of(cpus=64, memory="1GiB", gpus=2, counts={"licences": 3}, ports="31000-32000")


def test_the_host_keeps_its_id(tmp_path: Path) -> None:
    with hold_state_dir(tmp_path / "state") as first:
        pass
    with hold_state_dir(tmp_path / "state") as second:
        pass
    with hold_state_dir(tmp_path / "other") as other:
        pass
    assert first == second != other


def test_the_own_address_is_one_of_this_machine_and_no_loopback_where_there_is_another() -> None:
    addresses = {each.address for each in sum(psutil.net_if_addrs().values(), [])}
    found = own_address("127.0.0.1:5050")
    assert found in addresses
    assert not found.startswith("127.") or all(":" in each or each.startswith("127.") for each in addresses)


def test_marks_outlive_the_process_and_are_forgotten_with_their_containers(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    marks = Marks(path)
    marks.add([Killing(A, 5), Settled(B)])
    marks.add([Settled(A)])
    with path.open("a") as file:
        file.write('["shop", "torn')  # the machine went down in the middle of a write
    again = Marks(path)
    assert (again.get(A), again.get(B)) == (Settled(A), Settled(B))
    again.keep({B})
    assert (again.get(A), Marks(path).get(A), Marks(path).get(B)) == (None, None, Settled(B))


def test_no_engine_answers_where_there_is_none(tmp_path: Path) -> None:
    assert not engine_answers(f"unix://{tmp_path}/none.sock")
    assert not engine_answers("tcp://127.0.0.1:1")


def test_an_unknown_runtime_names_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="runtime: 'podman' is not one of docker, process, fake"):
        make_runtime("podman")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--master", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["--master", ""], "--master: '' names no master"),
        (["--attributes", "zone"], "'zone' is not NAME=VALUE, for example zone=a"),
        (["--attributes", "zone=a;zone=b"], "'zone' is given twice"),
        (["--attributes", "host=x"], "'host' is the name of the host; set that with --name"),
        (["--resources", "cpus=many"], "cpus: 'many' is not a number"),
        (["--resources", "ram=1GiB;cpus"], "'cpus' is not NAME=AMOUNT"),
        (["--keep-for", "3 weeks"], "'3 weeks' is not a duration, for example 12h or 3d"),
        (["--runtime", "podman"], "'podman' is not one of 'docker', 'process', 'fake'"),
        (["--docker-host", "nonsense://x"], "no Docker engine answers at nonsense://x"),
        (["--parallel", "0"], "0 is not in the range"),
    ],
)
def test_bad_command_lines_are_one_clear_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "executor", "--state-dir", str(tmp_path), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    [line] = ended.stderr.splitlines()
    assert ended.returncode in (1, 2) and line.startswith("error: ") and words in line
