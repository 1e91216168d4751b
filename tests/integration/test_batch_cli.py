"""``offerer batch`` against a real master and two executors that run plain processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from offerer.cli.batch import batch
from offerer.errors import InvalidInput, NotFound
from tests.processes import Processes, processes, wait_for

SUMS = """\
job: sums
command: [sh, -c, 'echo part $OFFERER_INSTANCE of $OFFERER_INSTANCES in $OFFERER_JOB; test $OFFERER_INSTANCE != $BAD']
instances: 4
retries: 1
backoff: {delay: 0.1s}
env: {BAD: none}
resources: {cpus: 0.1, memory: 16MiB}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("batch")) as started:
        started.master("--framework", "coding", "--framework", "batch")
        for name in ("h1", "h2"):
            started.executor(name, "--runtime", "process", "--resources", "cpus=2;memory=2GiB;ports=31000-31999")
        wait_for("the frameworks", lambda: len(started.session.state("frameworks").frameworks) == 2)
        yield started


@pytest.fixture
def sums(tmp_path: Path) -> str:
    (tmp_path / "sums.yaml").write_text(SUMS)
    return str(tmp_path / "sums.yaml")


def run(cluster: Processes, *arguments: str) -> Result:
    """Run a command in this process. What it raises on purpose is in `exception`, for `main` to print."""
    return CliRunner().invoke(batch, arguments, obj=cluster.session)


def test_submit_waits_for_the_end_and_tells_of_it(cluster: Processes, sums: str) -> None:
    done = run(cluster, "submit", sums, "--wait")
    assert done.exit_code == 0, done.output
    first, *_, last = done.output.splitlines()
    job = first.removesuffix(" is submitted")
    assert job.startswith("sums-") and last.startswith(f"{job} is finished in ") and "(4 finished of 4)" in last
    shown = run(cluster, "show", job).output
    assert "FINISHED" in shown and "OFFERER_JOB" in shown
    assert run(cluster, "logs", f"{job}/2").output == f"part 2 of 4 in {job}\n"
    assert run(cluster, "logs", "sums/2").output == f"part 2 of 4 in {job}\n"  # the newest of that name
    listed = json.loads(run(cluster, "list", "--all", "--json").output)["jobs"]
    assert [row["finished"] for row in listed if row["job"] == job] == [4]


def test_a_failure_is_tried_again_and_then_told(cluster: Processes, sums: str) -> None:
    failed = run(cluster, "submit", sums, "--env", "BAD=3", "--wait")
    assert failed.exit_code == 1
    last = failed.output.splitlines()[-1]
    assert "(3 finished, 1 failed of 4): instance 3: exited with code 1" in last
    job = last.partition(" ")[0]
    answer = json.loads(run(cluster, "show", job, "--state", "failed", "--json").output)
    (row,) = answer["instances"]
    assert (row["instance"], row["attempt"], row["exit_code"]) == (3, 2, 1)
    assert run(cluster, "wait", job).exit_code == 1


def test_a_command_needs_no_file(cluster: Processes) -> None:
    done = run(cluster, "submit", "-n", "2", "--memory", "16MiB", "--wait", "--json", "--", "/bin/echo", "--all", "-x")
    row = json.loads(done.output)
    assert (row["name"], row["finished"]) == ("echo", 2)
    assert run(cluster, "logs", f"{row['job']}/1").output == "--all -x\n"


def test_cancel(cluster: Processes) -> None:
    submitted = run(cluster, "submit", "-n", "3", "--name", "sleepers", "--memory", "16MiB", "--", "sleep", "1000")
    job = submitted.output.partition(" ")[0]
    wait_for("three sleepers", lambda: sum(task.startswith(job) for task in cluster.tasks("batch")) == 3)
    late = run(cluster, "wait", job, "--timeout", "0.1s")
    assert late.exit_code == 1 and f"{job} has not ended after 0.1 s" in late.output
    assert run(cluster, "cancel", job).output == f"{job} is cancelled; 3 instances stop\n"
    assert run(cluster, "wait", job, "--timeout", "20s").exit_code == 1
    assert f"{job} has cancelled already" in run(cluster, "cancel", job).output
    assert not [task for task in cluster.tasks("batch") if task.startswith(job)]


def test_jobs_go_on_when_master_and_framework_are_killed(cluster: Processes, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"until test -e {gate}; do sleep 0.05; done"
    submitted = run(cluster, "submit", "-n", "30", "--name", "gated", "--memory", "16MiB", "--", "sh", "-c", script)
    job = submitted.output.partition(" ")[0]
    wait_for("all gated", lambda: sum(state == "RUNNING" for state in cluster.tasks("batch").values()) == 30)
    master = next(daemon for daemon in cluster.daemons if daemon.name == "master")
    master.kill()
    gate.touch()
    master.start()
    wait_for("the master", cluster.answers)
    row = wait_for("its end", lambda: _ended(cluster, job))
    assert (row["state"], row["finished"]) == ("finished", 30)
    answer = json.loads(run(cluster, "show", job, "--json", "-n", "100").output)
    assert [each["attempt"] for each in answer["instances"]] == [1] * 30


def _ended(cluster: Processes, job: str) -> dict[str, object] | None:
    row: dict[str, object] = cluster.session.call("batch", "show", {"job": job, "limit": 0})["job"]
    return row if row["ended"] else None


def test_what_is_wrong_with_a_file_is_told_by_line(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    fields = "job: Sums\ncommand: run me\nreplicas: 3\nretries: -1\ntime_limit: soon\nenv: {A: 0644}\n"
    file.write_text(fields + "on_host_lost: {move: 1}\n")
    failed = run(cluster, "submit", str(file), "--memory", "16")
    assert failed.exit_code == 1 and isinstance(failed.exception, InvalidInput)
    lines = str(failed.exception).splitlines()
    assert lines == [
        "resources.memory: '16' is only 16 bytes; 6MiB is the least",
        f"{file}:1: job: 'Sums' is not the name of a job; use 1 to 40 lower-case letters, digits and '-', "
        "with no '-' at either end",
        f"{file}:2: command: 'run me' is not a list; write for example [run, me]",
        f"{file}:3: replicas: unknown field; did you mean 'instances'?",
        f"{file}:4: retries: -1 must be 0 or more",
        f"{file}:5: time_limit: 'soon' is not a duration; write for example 10s or 1m30s",
        f"{file}:6: env.A: 0644 can be read in several ways; write '0644'",
        f"{file}:7: on_host_lost: a mapping is not wait, move or {{move_after: 60s}}",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "-n", "0", "--", "true"], "instances: 0 must be 1 or more"),
        (["submit", "--time-limit", "0s", "--", "true"], "time_limit: 0s leaves no time to run"),
        (["submit", "--constraint", "zone", "--", "true"], "constraints[0]: 'zone' is not a condition"),
        (["show", "sumz-1"], "there is no job 'sumz-1'"),
        (["cancel", "nothing-9"], "there is no job 'nothing-9'; see offerer batch list --all"),
        (["logs", "sums.1"], "'sums.1' is not JOB or JOB/INSTANCE, for example resize-7/42"),
    ],
)
def test_bad_input_is_one_clear_error(cluster: Processes, arguments: list[str], said: str) -> None:
    failed = run(cluster, *arguments)
    assert failed.exit_code == 1 and isinstance(failed.exception, InvalidInput | NotFound)
    assert said in str(failed.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit"], "give a FILE, or --image IMAGE, or a command behind --"),
        (["submit", "-e", "A", "--", "true"], "--env 'A' is not NAME=VALUE, for example MODE=fast"),
        (["submit", "/nowhere.yaml"], "No such file"),
        (["show", "x", "--state", "odd"], "'odd' is not one of"),
    ],
)
def test_usage_errors(cluster: Processes, arguments: list[str], said: str) -> None:
    failed = run(cluster, *arguments)
    assert failed.exit_code == 2 and said in failed.output


def test_every_command_has_help_with_an_example() -> None:
    for name, command in batch.commands.items():
        text = command.get_help(click.Context(command, info_name=name))
        assert "Example" in text, name
