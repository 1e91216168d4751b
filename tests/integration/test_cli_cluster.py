"""The `offerer` command against a real master, with two hosts and the hello framework, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from offerer.cli.main import main
from tests.processes import Processes, free_port, processes, wait_for


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cluster")) as running:
        running.master()
        running.executor("one", "--runtime", "fake", "--resources", "cpus=4;memory=8GiB;ports=31000-31999;gpus=2",
                         "--attributes", "zone=a;disk=ssd")  # fmt: skip
        running.executor("two", "--runtime", "fake", "--resources", "cpus=2;memory=4GiB", "--attributes", "zone=b")
        running.framework("examples.hello_framework:Hello", "--role", "batch", "--set", "copies=5")
        wait_for("five copies", lambda: list(running.tasks("hello").values()) == ["RUNNING"] * 5)
        yield running


def run(cluster: Processes, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--master", cluster.address, *arguments])


def rows(cluster: Processes, *arguments: str) -> Any:
    result = run(cluster, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_hosts_shows_what_each_has_and_what_of_it_is_used(cluster: Processes) -> None:
    one, two = rows(cluster, "hosts")
    assert (one["host"], one["state"], one["runtime"], one["attributes"]) == (
        "one", "active", "fake", {"zone": "a", "disk": "ssd"},
    )  # fmt: skip
    assert one["total"]["cpus"] == 4 and one["total"]["gpus"] == 2 and one["total"]["ports"] == "31000-31999"
    assert one["tasks"] + two["tasks"] == 5
    assert one["allocated"]["cpus"] + two["allocated"]["cpus"] == pytest.approx(0.5)
    table = run(cluster, "hosts").stdout.splitlines()
    assert table[0].split() == ["HOST", "STATE", "ADDRESS", "CPUS", "MEMORY", "TASKS", "RUNTIME", "ATTRIBUTES"]
    assert [line.split()[0] for line in table[1:]] == ["one", "two"]
    assert "zone=a" in table[1] and "/8GiB" in table[1]


def test_frameworks_roles_and_tasks_agree(cluster: Processes) -> None:
    (hello,) = rows(cluster, "frameworks")
    assert (hello["framework"], hello["role"], hello["state"], hello["tasks"]) == ("hello", "batch", "connected", 5)
    role = next(row for row in rows(cluster, "roles") if row["role"] == "batch")
    assert role["frameworks"] == ["hello"]
    assert role["allocated"] == hello["allocated"]
    tasks = rows(cluster, "tasks", "--framework", "hello")
    assert len({task["task"] for task in tasks}) == 5
    assert {task["state"] for task in tasks} == {"RUNNING"}
    on_one = rows(cluster, "tasks", "--host", "one")
    assert len(on_one) == rows(cluster, "hosts")[0]["tasks"]
    assert rows(cluster, "tasks", "--framework", "nobody") == []
    assert run(cluster, "tasks").stdout.count("RUNNING") == 5


def test_role_set_changes_what_is_given_and_keeps_the_rest(cluster: Processes) -> None:
    assert run(cluster, "role", "set", "ci", "--weight", "2.5", "--limit", "cpus=4;memory=8GiB;gpus=0").stdout == (
        "role ci: weight 2.5, guarantee -, limit 4 cpus, 0 gpus, 8GiB\n"
    )
    row = rows(cluster, "role", "set", "ci", "--guarantee", "cpus=1")
    assert row["weight"] == 2.5 and row["limit"] == {"cpus": 4, "memory": 8 << 30, "gpus": 0}
    assert row["guarantee"]["cpus"] == 1
    row = rows(cluster, "role", "set", "ci", "--limit", "none")
    assert row["limit"] == {} and row["guarantee"]["cpus"] == 1
    assert next(each for each in rows(cluster, "roles") if each["role"] == "ci") == row


def test_events_tell_the_story_and_follow_goes_on(cluster: Processes) -> None:
    lines = [json.loads(line) for line in run(cluster, "events", "--json").stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("host_registered") == 2 and kinds.count("task_launched") == 5
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    last = lines[-1]["id"]
    assert run(cluster, "events", "--after", str(last)).stdout == ""
    command = [sys.executable, "-m", "offerer.cli.main", "--master", cluster.address, "events", "-f", "--after"]
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*command, str(last)], stdout=subprocess.PIPE, text=True, env=env) as follow:
        try:
            run(cluster, "role", "set", "seen-by-events", "--weight", "3")
            assert follow.stdout is not None
            assert "seen-by-events" in follow.stdout.readline()
        finally:
            follow.terminate()


def test_offers_that_are_out_are_listed(cluster: Processes) -> None:
    hoarder = cluster.framework("tests.plugins:Hangs", "--role", "idle")
    try:
        offer = wait_for("an offer", lambda: rows(cluster, "offers"))[0]
        assert (offer["framework"], offer["role"]) == ("hangs", "idle")
        assert offer["until"] > offer["since"] > 0
        assert "hangs" in run(cluster, "offers").stdout
    finally:
        hoarder.stop()


def test_a_host_is_removed_only_when_it_is_gone(cluster: Processes) -> None:
    spare = cluster.executor("spare", "--runtime", "fake", "--resources", "cpus=0.001;memory=1KiB")
    refused = run(cluster, "host", "remove", "spare")
    assert refused.exit_code == 1 and "spare" in refused.stderr
    spare.stop()
    wait_for("it to be removed", lambda: run(cluster, "host", "remove", "spare").exit_code == 0)
    assert "spare" not in run(cluster, "hosts").stdout


def test_of_two_hosts_of_one_name_the_one_that_is_gone_can_be_told(cluster: Processes) -> None:
    """As when a machine was set up anew: its host id is another one."""
    old = cluster.executor("twin", "--runtime", "fake", "--resources", "cpus=0.001;memory=1KiB")
    old.kill()
    shutil.rmtree(cluster.directory / "twin")
    new = cluster.executor("twin", "--runtime", "fake", "--resources", "cpus=0.001;memory=1KiB")
    try:
        wait_for("both", lambda: sorted(cluster.states_of("twin").values()) == ["active", "disconnected"])
        (gone,) = (host_id for host_id, state in cluster.states_of("twin").items() if state == "disconnected")
        refused = run(cluster, "host", "remove", "twin")
        assert refused.exit_code == 1 and f"{gone} (disconnected)" in refused.stderr
        assert run(cluster, "host", "remove", gone).exit_code == 0
        assert list(cluster.states_of("twin").values()) == ["active"]
    finally:
        new.stop()
    wait_for("it to be removed", lambda: run(cluster, "host", "remove", "twin").exit_code == 0)


def test_a_cordoned_host_is_offered_to_nobody(cluster: Processes) -> None:
    spare = cluster.executor("spare", "--runtime", "fake", "--resources", "cpus=1;memory=1GiB")
    try:
        assert run(cluster, "cordon", "spare").stdout == (
            "host spare is cordoned: it is offered to nobody, its tasks stay\n"
        )
        assert next(row for row in rows(cluster, "hosts") if row["host"] == "spare")["availability"] == "cordoned"
        lines = run(cluster, "hosts").stdout.splitlines()
        assert next(line.split()[:2] for line in lines if "spare" in line) == ["spare", "cordoned"]
        hoarder = cluster.framework("tests.plugins:Hangs", "--role", "idle")
        try:
            wait_for("an offer", lambda: rows(cluster, "offers"))
            assert "spare" not in {offer["host"] for offer in rows(cluster, "offers")}
            assert rows(cluster, "uncordon", "spare")["availability"] == "active"
            wait_for("one of the host", lambda: "spare" in {offer["host"] for offer in rows(cluster, "offers")})
        finally:
            hoarder.stop()
        refused = run(cluster, "cordon", "sparse")
        assert refused.exit_code == 1 and "there is no host 'sparse'" in refused.stderr
    finally:
        spare.stop()
        wait_for("it to be removed", lambda: run(cluster, "host", "remove", "spare").exit_code == 0)


def test_an_operator_stops_a_task_of_any_framework(cluster: Processes) -> None:
    task = min(cluster.tasks("hello"))
    assert run(cluster, "kill", task).stdout == f"{task} of hello is being stopped\n"
    wait_for("its end", lambda: (task, "KILLED") in cluster.statuses("hello"))
    gone = run(cluster, "kill", task)
    assert gone.exit_code == 1 and f"there is no task '{task}'" in gone.stderr
    wait_for("another in its place", lambda: list(cluster.tasks("hello").values()) == ["RUNNING"] * 5)


def test_a_task_can_be_looked_into(cluster: Processes) -> None:
    task = next(iter(cluster.tasks("hello")))
    assert run(cluster, "task", "inspect", "hello", task, "--json").exit_code == 0
    logs = run(cluster, "task", "logs", "hello", task)
    assert logs.exit_code in (0, 1) and "Traceback" not in logs.output


BROKEN = [
    (["nonsense"], 2, "No such command 'nonsense'"),
    (["--nonsense"], 2, "No such option"),
    (["--master", "somewhere", "hosts"], 2, "'somewhere' is not HOST:PORT, for example 127.0.0.1:5050"),
    (["--master", "127.0.0.1:99999", "hosts"], 2, "is not HOST:PORT"),
    (["hosts", "extra"], 2, "unexpected extra argument"),
    (["host", "remove"], 2, "Missing argument 'NAME'"),
    (["host", "remove", "nobody"], 1, "nobody"),
    (["role", "set", "ci"], 2, "give --weight, --guarantee or --limit"),
    (["role", "set", "ci", "--weight", "heavy"], 2, "'heavy' is not a valid float"),
    (["role", "set", "ci", "--weight", "-1"], 2, "must be from 0.001"),
    (["role", "set", "ci", "--weight", "nan"], 2, "must be from 0.001"),
    (["role", "set", "ci", "--limit", "cpus"], 2, "'cpus' is not NAME=AMOUNT, for example cpus=8"),
    (["role", "set", "ci", "--limit", "mem=8GiB"], 2, "write memory"),
    (["role", "set", "ci", "--limit", "memory=8 potatoes"], 2, "'8 potatoes' is not a size"),
    (["role", "set", "ci", "--limit", "ports=80"], 2, "ports cannot be part of a quota"),
    (["events", "--after", "yesterday"], 2, "'yesterday' is not a valid integer"),
    (["events", "--after", "99999999999999999999"], 2, "is not in the range"),
    (["task", "logs", "hello", "x", "--tail", "99999999999"], 2, "is not in the range"),
    (["task", "logs", "hello"], 2, "Missing argument 'TASK'"),
    (["task", "logs", "hello", "x", "--tail", "-1"], 2, "is not in the range"),
    (["task", "logs", "hello", "no-such-task"], 1, "there is no task 'no-such-task' of framework 'hello'"),
    (["task", "inspect", "nobody", "x"], 1, "nobody"),
    (["ps"], 1, "coding"),  # not in this cluster
    (["push", "/no/such/file.yaml"], 2, "No such file"),
    (["dev", "--once"], 2, "--once goes with --up"),
    (["dev", "--up"], 2, "--up needs at least one FILE"),
    (["dev", "--hosts", "0"], 2, "is not in the range"),
    (["dev", "--listen", "5050"], 2, "'5050' is not HOST:PORT"),
    (["dev", "/no/such/file.yaml", "--up"], 2, "does not exist"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BROKEN, ids=[" ".join(each[0]) for each in BROKEN])
def test_a_broken_command_line_is_one_clear_line(
    cluster: Processes, arguments: list[str], code: int, message: str
) -> None:
    master = [] if "--master" in arguments else ["--master", cluster.address]
    result = CliRunner().invoke(main, [*master, *arguments])
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_no_master_is_said_with_the_address_and_what_helps() -> None:
    address = f"127.0.0.1:{free_port()}"
    for command in ("hosts", "ps", "events -f", "task logs coding x", "role set x --weight 1"):
        result = CliRunner().invoke(main, ["--master", address, *command.split()])
        assert result.exit_code == 3
        assert result.stderr == (
            f"error: no master answers at {address}; start one with 'offerer dev' or 'offerer-master', "
            "or name another with --master HOST:PORT\n"
        )


def test_a_master_that_does_not_speak_our_language_is_no_master_either(tmp_path: Path) -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        result = CliRunner().invoke(main, ["--master", f"127.0.0.1:{port}", "hosts"])
        assert result.exit_code == 3 and result.stderr.count("\n") == 1
    finally:
        server.terminate()
        server.wait()


def test_help_lists_every_command_in_sections() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for section in ("Services:", "Cluster:", "On this machine:"):
        assert section in result.output
    for command in ("push", "up", "update", "down", "ps", "logs", "hosts", "roles", "events", "dev"):
        assert f"\n  {command} " in result.output


def commands(of: click.Command, name: str = "") -> Iterator[str]:
    """The names of a command and of all within it."""
    yield name
    if isinstance(of, click.Group):
        for each in of.list_commands(click.Context(of)):
            found = of.get_command(click.Context(of), each)
            assert found is not None
            yield from commands(found, f"{name} {each}".strip())


@pytest.mark.parametrize("command", list(commands(main)), ids=lambda name: name or "offerer")
def test_every_command_shows_an_example_of_itself(command: str) -> None:
    result = CliRunner().invoke(main, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert re.search(rf"Example:\s+offerer {command}", result.output)


def test_a_reader_of_the_pipe_that_leaves_is_no_error(cluster: Processes) -> None:
    command = f"{sys.executable} -m offerer.cli.main --master {cluster.address} events | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.count("\n") == 1 and result.stderr == ""


@pytest.mark.parametrize(("redirect", "code", "says"), [(">/dev/full", 1, "there is no space left"), (">&-", 0, "")])
@pytest.mark.parametrize("command", ["hosts", "hosts --json", "events", "--help"])
def test_an_output_that_takes_nothing_is_one_line_at_most(
    cluster: Processes, command: str, redirect: str, code: int, says: str
) -> None:
    line = f"{sys.executable} -m offerer.cli.main --master {cluster.address} {command} {redirect}"
    result = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == code
    assert says in result.stderr and result.stderr.count("\n") == (1 if says else 0)
