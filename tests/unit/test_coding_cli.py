"""The commands about services, against a real master, two executors that pretend to run containers, and `coding`."""

from __future__ import annotations

import getpass
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner, Result

from offerer.cli.common import Session
from offerer.cli.main import main
from offerer.cli.updates import watch
from offerer.errors import InvalidInput
from offerer.master.__main__ import command as master
from tests.processes import Processes, processes, wait_for

EVERY = [
    "push", "up", "scale", "update", "rollback", "restart", "pause", "resume", "promote", "abort", "down", "status",
    "ps", "why", "plan", "inspect", "history", "diff", "logs", "render", "schema", "secret", "run",
]  # fmt: skip
SHOP = """\
service: {name}
jobs:
  db:
    image: db:1
    resources: {{memory: 64MiB}}
  web:
    image: web:{version}
    resources: {{memory: 64MiB}}
    ports: [{{container: 8080, name: http}}]
    replicas: 2
    depends_on: [db]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cli")) as started:
        started.master("--framework", "coding", "--set", f"coding.git={started.directory / 'story'}")
        for name in ("h1", "h2"):
            started.executor(name, "--runtime", "fake", "--resources", "cpus=4;memory=4GiB;ports=31000-31999")
        wait_for("coding", lambda: started.session.state("frameworks").frameworks)
        yield started


@pytest.fixture
def shop(cluster: Processes, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A service of the test's own, pushed."""
    name = re.sub(r"[^a-z]+", "-", request.node.name.removeprefix("test_")).strip("-")[:60].strip("-")
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP.format(name=name, version=1))
    assert run(cluster, "push", str(file)).exit_code == 0
    return name


def run(cluster: Processes, command: str, *arguments: str) -> Result:
    """Run a command in this process. What it raises on purpose is in `exception`, for `main` to print."""
    return CliRunner().invoke(command_of(command), arguments, obj=cluster.session)


def command_of(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def test_push_says_what_became_a_revision(cluster: Processes, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    assert f"{shop} r1 is unchanged" in run(cluster, "push", str(file)).output
    file.write_text(SHOP.format(name=shop, version=2))
    pushed = run(cluster, "push", str(file), "-m", "second", "--json")
    assert json.loads(pushed.output)["services"][0]["revision"] == 2
    listed = run(cluster, "history", shop, "--revisions").output
    assert "second" in listed and listed.count(str(file)) == 2


def test_a_broken_file_is_one_error_per_problem(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("service: Shop\njobs: {web: {imagee: x}}\n")
    failed = run(cluster, "push", str(file))
    assert failed.exit_code == 1
    lines = str(failed.exception).splitlines()
    assert lines[0].startswith(f"{file}:1: service: 'Shop' is not a name")
    assert lines[-1].startswith(f"{file}:2: jobs.web.imagee: unknown field; did you mean 'image'?")


def test_a_file_that_is_not_there_or_not_text_is_a_usage_error(cluster: Processes, tmp_path: Path) -> None:
    assert run(cluster, "push", str(tmp_path / "nothing.yaml")).exit_code == 2
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    failed = run(cluster, "push", str(tmp_path / "binary.yaml"))
    assert failed.exit_code == 2 and "is not UTF-8 text" in failed.output
    failed = run(cluster, "push", "/proc/self/mem")
    assert failed.exit_code == 2 and "/proc/self/mem cannot be read: " in failed.output
    failed = run(cluster, "push", "/dev/zero")
    assert failed.exit_code == 2 and "/dev/zero is larger than 512 KiB" in failed.output


def test_a_message_that_is_not_utf8_is_refused(cluster: Processes, shop: str, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.format(name=shop, version=3))
    failed = run(cluster, "push", str(tmp_path / "shop.yaml"), "-m", "caf\udce9")  # as Python reads such an argument
    assert failed.exit_code == 1 and r"message: '\udce9' is no character of UTF-8" in str(failed.exception)


def test_up_waits_until_all_runs(cluster: Processes, shop: str) -> None:
    done = run(cluster, "up", shop, "--wait")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "3 tasks to start"
    assert done.output.splitlines()[-1] == "3 tasks up"
    assert f"{shop}/web/1 RUNNING on h" in done.output
    assert "3 tasks up already" in run(cluster, "up", shop).output


def test_what_is_deployed_is_committed(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop)
    log = ["git", "-C", str(cluster.directory / "story"), "log", "--format=%s by %an", "--", f"{shop}.yaml"]
    wait_for("the commit", lambda: subprocess.run(log, capture_output=True).stdout)
    assert subprocess.run(log, capture_output=True, text=True).stdout == f"{shop}: up at r1 by {getpass.getuser()}\n"
    assert (cluster.directory / "story" / f"{shop}.yaml").read_text() == SHOP.format(name=shop, version=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("git=/srv", "'git=/srv' is not NAME.KEY=VALUE, for example coding.git=/srv/story"),
        ("coding.git", "'coding.git' is not NAME.KEY=VALUE"),
        ("batch.git=/srv", "'batch' is not hosted here (hosted: coding)"),
    ],
)
def test_options_of_no_plug_in_are_refused(option: str, said: str) -> None:
    failed = CliRunner().invoke(master, ["--framework", "coding", "--set", option])
    assert failed.exit_code == 2 and said in " ".join(failed.output.split())


def test_ps_shows_where_everything_is(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    head, *lines = run(cluster, "ps", shop).output.splitlines()
    assert head.split() == ["SERVICE", "JOB", "TASK", "STATE", "HOST", "ADDRESS", "REV", "SINCE", "REASON"]
    assert len(lines) == 3 and all(" RUNNING " in line for line in lines)
    assert re.search(r"web +1 +RUNNING +h\d +\S+:31\d\d\d +r1", lines[1])
    (row,) = json.loads(run(cluster, "ps", f"{shop}/web/2", "--json").output)
    assert row["ports"][0]["container"] == 8080


def test_status_counts(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    line = run(cluster, "status", shop).output.splitlines()[1]
    assert re.match(rf"{shop} +3/3 +3 +r1 +r1", line)
    assert json.loads(run(cluster, "status", shop, "--json").output)["services"][0]["settled"] is True


def test_update_moves_what_changed(cluster: Processes, shop: str, tmp_path: Path) -> None:
    run(cluster, "up", shop, "--wait")
    file = tmp_path / "two.yaml"
    file.write_text(SHOP.format(name=shop, version=2))
    run(cluster, "push", str(file))
    done = run(cluster, "update", shop, "--wait")
    assert done.exit_code == 0 and done.output.splitlines()[-1] == "3 tasks updated"
    containers = json.loads(run(cluster, "ps", shop, "--json").output)
    assert [row["task_id"].rpartition(".")[2] for row in containers] == ["r1-1", "r2-2", "r2-2"]  # db is as it was
    assert " KILLED " in run(cluster, "history", f"{shop}/web").output


def test_diff_and_rollback(cluster: Processes, shop: str, tmp_path: Path) -> None:
    run(cluster, "up", shop, "--wait")
    file = tmp_path / "two.yaml"
    text = SHOP.format(name=shop, version=2).replace("replicas: 2", "replicas: 3\n    env: {MODE: new}")
    file.write_text(text.replace("    depends_on: [db]\n", ""))
    run(cluster, "push", str(file))
    assert run(cluster, "diff", shop).output.splitlines() == [
        '- jobs.web.depends_on: ["db"]',
        "+ jobs.web.env.MODE: new",
        "~ jobs.web.image: web:1 → web:2",
        "~ jobs.web.replicas: 2 → 3",
    ]
    assert run(cluster, "diff", shop, "2", "2").output == f"{shop} r2 and r2 are the same\n"
    assert "has no revision 7; it has r1, r2" in str(run(cluster, "diff", shop, "1", "7").exception)
    assert run(cluster, "update", shop, "--watch").exit_code == 0
    back = run(cluster, "rollback", f"{shop}/web", "--watch")
    assert back.exit_code == 0 and "note: r2 stays the newest" in back.output
    rows = json.loads(run(cluster, "ps", f"{shop}/web", "--json").output)
    assert [(row["task"], row["revision"]) for row in rows] == [("1", 1), ("2", 1)]
    assert run(cluster, "rollback", shop, "--to", "9").exit_code == 1


CANARY = """\
service: {name}
jobs:
  web:
    image: web:{version}
    resources: {{memory: 64MiB}}
    replicas: 2
    update: {{order: start-first, canary: 1, healthy_for: 0s}}
    labels: {{fake.start_after: "0"}}
"""


def test_update_watch_tells_by_its_exit_code_how_it_ended(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "canary.yaml"
    for version in (1, 2):
        file.write_text(CANARY.format(name="canary", version=version))
        run(cluster, "push", str(file))
        if version == 1:
            run(cluster, "up", "canary", "--wait")
    paused = run(cluster, "update", "canary", "--watch")
    assert paused.exit_code == 2
    assert "the update of canary is paused: canary: 1 task runs the new revision of canary/web" in paused.output
    assert "1/2 paused" in run(cluster, "status", "canary").output
    assert run(cluster, "resume", "canary").exit_code == 1
    assert run(cluster, "abort", "canary").output == "the update of canary goes back\n"
    wait_for("end", lambda: "paused" not in run(cluster, "status", "canary").output)
    again = run(cluster, "update", "canary", "--watch")
    assert again.exit_code == 2
    assert run(cluster, "promote", "canary").exit_code == 0
    done = run(cluster, "update", "canary", "--watch")
    assert done.exit_code == 0 and done.output.splitlines()[-1] == "2 tasks updated"
    rows = json.loads(run(cluster, "ps", "canary", "--json").output)
    assert [row["revision"] for row in rows] == [2, 2]
    assert "no update of canary is under way; the last one is done" in str(run(cluster, "pause", "canary").exception)


def test_an_update_that_fails_rolls_back_and_exits_with_1(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "back.yaml"
    text = CANARY.format(name="back", version=1).replace("canary: 1", "on_failure: rollback, deadline: 1s")
    file.write_text(text)
    run(cluster, "push", str(file))
    run(cluster, "up", "back", "--wait")
    file.write_text(text.replace("web:1", "web:2").replace("start_after: \"0\"", "start_fails: broken"))
    run(cluster, "push", str(file))
    failed = run(cluster, "update", "back", "--watch")
    assert failed.exit_code == 1
    assert "the update of back was rolled back: back/web/1 did not come up within 1 s: " in failed.output
    assert "rolled back" in run(cluster, "status", "back").output
    rows = json.loads(run(cluster, "ps", "back", "--json").output)
    assert [(row["revision"], row["state"]) for row in rows] == [(1, "RUNNING")] * 2


def test_watching_tells_when_an_update_turns_back(capsys: pytest.CaptureFixture[str]) -> None:
    going = {"outcome": "", "paused": "", "back": True, "why": "one/web/1 did not come up within 60 s"}
    answers = iter([going, going, {**going, "outcome": "rolled back"}])
    session = SimpleNamespace(call=lambda *_: {"update": next(answers), "tasks": []})
    assert watch(cast(Session, session), ["one"], None, quiet=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "the update of one goes back: one/web/1 did not come up within 60 s",
        "the update of one was rolled back: one/web/1 did not come up within 60 s",
    ]


def test_why_says_which_hosts_an_operator_has_closed(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "closed.yaml"
    file.write_text("service: closed\njobs: {web: {image: web:1, host: h1}}\n")
    run(cluster, "push", str(file))
    run(cluster, "cordon", "h1")
    try:
        run(cluster, "up", "closed")
        said = run(cluster, "why", "closed").output
    finally:
        run(cluster, "uncordon", "h1")
    assert "  h1 is cordoned; it is offered again after: offerer uncordon h1\n" in said
    assert run(cluster, "up", "closed", "--wait").exit_code == 0


def test_waiting_ends_where_the_cluster_refuses_a_task(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "refused.yaml"
    file.write_text("service: refused\njobs: {web: {image: web:1, labels: {fake.start_after: soon}}}\n")
    run(cluster, "push", str(file))
    failed = run(cluster, "up", "refused", "--wait")
    assert failed.exit_code == 1
    assert "error: not up: refused/web/1 WAITING: ERROR: " in failed.output
    assert "push a correction and update" in failed.output


def test_down_waits_until_all_is_gone(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    done = run(cluster, "down", shop, "--wait")
    assert done.exit_code == 0 and done.output.splitlines()[-1] == "3 tasks down"
    assert json.loads(run(cluster, "ps", shop, "--json").output) == []


def test_a_wait_that_takes_too_long_fails_and_says_why(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text("service: big\njobs: {web: {image: x, resources: {cpus: 64}}}\n")
    run(cluster, "push", str(file))
    failed = run(cluster, "up", "big", "--wait", "--timeout", "1s")
    assert failed.exit_code == 1
    assert "error: not up after 1 s: big/web/1 WAITING: " in failed.output
    said = run(cluster, "why", "big").output.splitlines()
    assert re.fullmatch(r"big/web/1: no host fits: 2 lack cpus; nearest: h. lacks 6\d(\.\d)? cpus", said[0])
    assert said[1:3] == ["  needs cpus=64;memory=128MiB; 2 hosts were seen", "  2 lack cpus"]
    assert {line.split()[0] for line in said[3:5]} == {"h1", "h2"}
    row = json.loads(run(cluster, "why", "big", "--json").output)["tasks"][0]
    assert row["reason"] == json.loads(run(cluster, "ps", "big", "--json").output)[0]["reason"]
    assert run(cluster, "down", "big").exit_code == 0
    assert run(cluster, "why", "big").output == "nothing is up\n"


def test_inspect_writes_commands_and_sizes_as_people_do(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "written.yaml"
    web = "{image: web:1, command: [sh, -c, 'echo one two'], resources: {memory: 64MiB}}"
    file.write_text(f"service: written\njobs: {{web: {web}}}\n")
    run(cluster, "push", str(file))
    lines = [" ".join(line.split()) for line in run(cluster, "inspect", "written/web").output.splitlines()]
    assert {"command: sh -c 'echo one two'", "memory: 64MiB"} <= set(lines)


def test_inspect_is_complete_and_readable(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    text = run(cluster, "inspect", f"{shop}/web/1").output
    assert f"task_id:         {shop}.web.1.r1-1" in text and "container:" in text
    assert "image: web:1" in run(cluster, "inspect", shop).output
    assert json.loads(run(cluster, "inspect", shop, "--json").output)["newest"]["service"] == shop


def test_logs_finds_the_container(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    assert run(cluster, "logs", f"{shop}/web/1").exit_code == 0
    assert run(cluster, "logs", f"{shop}.web.1.r1-1", "--tail", "1").exit_code == 0
    failed = run(cluster, "logs", f"{shop}/web")
    assert failed.exit_code == 1 and f"name one of {shop}/web/1, {shop}/web/2" in str(failed.exception)


@pytest.mark.parametrize(
    ("command", "arguments", "code", "says"),
    [
        ("up", (), 2, "Missing argument"),
        ("up", ("no-such",), 1, "there is no service 'no-such'; push it with: offerer push FILE"),
        ("up", ("a/b/c/d",), 1, "target: 'a/b/c/d' is not SERVICE, SERVICE/JOB or SERVICE/JOB/TASK"),
        ("up", ("x", "--timeout", "soon"), 2, "'soon' is not a duration, for example 5m or 90s"),
        ("update", ("No_Such",), 1, "target: 'No_Such' is not SERVICE"),
        ("down", ("no-such",), 1, "there is no service"),
        ("ps", ("no-such",), 1, "there is no service"),
        ("history", ("no-such",), 1, "there is no service"),
        ("history", ("-n", "0"), 2, "0 is not in the range"),
        ("why", ("no-such",), 1, "there is no service"),
        ("inspect", ("no-such",), 1, "there is no service"),
        ("logs", ("no-such/web",), 1, "there is no service"),
        ("logs", ("no.such.task.r1-1",), 1, "no.such.task.r1-1"),
        ("logs", ("x", "--tail", "all"), 2, "'all' is not a valid integer"),
        ("logs", ("x", "--tail", "99999999999"), 2, "99999999999 is not in the range"),
    ],
)
def test_wrong_command_lines(
    cluster: Processes, command: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    failed = run(cluster, command, *arguments)
    assert failed.exit_code == code
    assert says in failed.output + str(failed.exception)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    helped = CliRunner().invoke(command_of(name), ["--help"])
    assert helped.exit_code == 0 and f"Example: offerer {name} " in helped.output


def test_plan_shows_what_would_happen_and_its_token_does_just_that(
    cluster: Processes, shop: str, tmp_path: Path
) -> None:
    planned = run(cluster, "plan", shop, "--json")
    assert planned.exit_code == 1
    plan = json.loads(planned.output)
    assert (plan["command"], plan["unchanged"]) == ("up", 0)
    assert [step["action"] for step in plan["steps"]] == ["start"] * 3
    assert run(cluster, "ps", shop, "--json").output.strip() == "[]"
    assert run(cluster, "up", shop, "--plan", plan["token"], "--wait").exit_code == 0
    there = {f"{shop}/{row['job']}/{row['task']}": row["host"] for row in rows(cluster, shop)}
    assert there == {step["task"]: step["host"] for step in plan["steps"]}
    done = run(cluster, "plan", shop)
    assert (done.exit_code, done.output) == (0, "nothing to do\n")

    file = tmp_path / "shop.yaml"
    file.write_text(SHOP.format(name=shop, version=2))
    planned = run(cluster, "plan", str(file))
    assert planned.exit_code == 1
    assert f"{shop} r1 → r2\n  ~ jobs.web.image: web:1 → web:2" in planned.output
    assert re.search(rf"{shop}/web/1 +replace +h\d +r1 → r2", planned.output) and "1 task stays" in planned.output
    command = planned.output.splitlines()[-1].partition(": ")[2]
    token = command.split()[-1]
    assert command == f"offerer push {file} && offerer update {shop} --plan {token}"
    early = run(cluster, "update", shop, "--plan", token)
    assert "the plan is of " in str(early.exception) and f"{shop} r2" in str(early.exception)
    run(cluster, "push", str(file))
    assert run(cluster, "update", shop, "--plan", token, "--watch").exit_code == 0
    assert {row["revision"] for row in rows(cluster, shop)} == {2}


def test_whatever_is_wrong_with_a_plan_is_exit_code_255(cluster: Processes, shop: str, tmp_path: Path) -> None:
    for arguments in (["nothing"], ["--so"], [], [shop, "--do", "down"], [str(tmp_path / "none.yaml")], ["a b"]):
        assert run(cluster, "plan", *arguments).exit_code == 255, arguments
    unknown = run(cluster, "up", shop, "--plan", "abc")
    assert str(unknown.exception).startswith("plan: no plan 'abc' is known")
    token = json.loads(run(cluster, "plan", shop, "--json").output)["token"]
    other = run(cluster, "up", f"{shop}/db", "--plan", token)
    assert str(other.exception) == f"plan: {token} is of another command; run: offerer up {shop} --plan {token}"
    run(cluster, "up", f"{shop}/db", "--wait")
    late = run(cluster, "up", shop, "--plan", token)
    assert f"{shop}/db/1 was to start on" in str(late.exception) and "nothing is done" in str(late.exception)
    assert len(rows(cluster, shop)) == 1


def rows(cluster: Processes, shop: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run(cluster, "ps", shop, "--json").output)
    return listed


# -- files, secrets, environments -----------------------------------------------------------------------------

KEPT = """\
service: {name}
jobs:
  web:
    image: web:1
    resources: {{memory: 64MiB}}
    env_file: web.env
    secrets:
      db-password: {{store: {name}-password}}
      tls: {{file: tls.pem}}
"""


def test_a_secret_is_shown_by_no_command(cluster: Processes, tmp_path: Path) -> None:
    name = "kept"
    file, words = tmp_path / "kept.yaml", ("hunter2-hunter2", "PEM-PEM-PEM")
    file.write_text(KEPT.format(name=name))
    (tmp_path / "web.env").write_text("MODE=production\n")
    (tmp_path / "tls.pem").write_text(words[1])
    refused = run(cluster, "push", str(file))
    fix = "set it with: offerer secret set kept-password"
    assert f"kept.yaml:8: jobs.web.secrets.db-password: there is no secret kept-password; {fix}" in str(
        refused.exception
    )
    stored = CliRunner().invoke(command_of("secret"), ["set", "kept-password"], f"{words[0]}\n", obj=cluster.session)
    assert stored.output == "kept-password is stored as version 1\n"
    said = [
        stored,
        run(cluster, "plan", str(file), "--json"),
        run(cluster, "push", str(file), "--json"),
        run(cluster, "up", name, "--wait", "--json"),
    ]
    again = CliRunner().invoke(command_of("secret"), ["set", "kept-password"], f"{words[0]}2", obj=cluster.session)
    assert "push and update kept to use it" in again.output
    said += [
        again,
        run(cluster, "push", str(file)),
        run(cluster, "update", name, "--watch"),
        run(cluster, "secret", "list"),
        run(cluster, "secret", "list", "--json"),
        *(run(cluster, each, name, "--json") for each in ("status", "ps", "why", "inspect", "history", "diff")),
        run(cluster, "inspect", f"{name}/web/1"),
        run(cluster, "logs", f"{name}/web"),
    ]
    for each in said:
        assert not any(word in each.output + str(each.exception or "") for word in words)
    inspected = json.loads(run(cluster, "inspect", f"{name}/web/1", "--json").output)
    assert [row["revision"] for row in inspected["revisions"]] == [2, 1]
    assert inspected["newest"]["env"] == {"MODE": "production"}
    assert "is used by kept/web/1" in str(run(cluster, "secret", "remove", "kept-password").exception)
    run(cluster, "down", name, "--wait")
    assert run(cluster, "secret", "remove", "kept-password").output == "kept-password is removed\n"


def test_an_environment_is_a_second_copy(cluster: Processes, tmp_path: Path) -> None:
    file, over = tmp_path / "site.yaml", tmp_path / "site.staging.yaml"
    file.write_text(SHOP.format(name="site", version=1))
    over.write_text("jobs:\n  web: {replicas: 1, ports: , env: {MODE: staging}}\n")
    rendered = run(cluster, "render", str(file), "--env", "staging").output
    assert "MODE: staging" in rendered and "replicas: 1" in rendered and "ports" not in rendered
    pushed = run(cluster, "push", str(file), str(over), "--env", "staging")
    assert pushed.output == "site@staging r1 is stored; start it with up, or move what runs with update\n"
    assert run(cluster, "up", "site", "--env", "staging", "--wait").exit_code == 0
    assert "there is no service 'site'" in str(run(cluster, "ps", "site").exception)
    run(cluster, "push", str(file))
    assert run(cluster, "up", "site", "--wait").exit_code == 0
    staging = json.loads(run(cluster, "ps", "site", "--env", "staging", "--json").output)
    base = json.loads(run(cluster, "ps", "site", "--json").output)
    assert [row["task_id"] for row in staging] == ["site@staging.db.1.r1-1", "site@staging.web.1.r1-1"]
    assert [row["task_id"] for row in base] == ["site.db.1.r1-1", "site.web.1.r1-1", "site.web.2.r1-1"]
    inspected = json.loads(run(cluster, "inspect", "site@staging/web/1", "--json").output)
    assert inspected["newest"]["env"] == {"MODE": "staging"}
    history = json.loads(run(cluster, "history", "site", "--env", "staging", "--json").output)
    assert [row["service"] for row in history["revisions"]] == ["site@staging"]
    assert {row["task"] for row in history["containers"]} == {"site@staging/db/1", "site@staging/web/1"}
    assert "there are also the environments staging" in run(cluster, "status").output
    assert "site@staging" not in run(cluster, "ps").output
    assert "site@staging" in (everything := run(cluster, "ps", "--env", "*").output) and "site " in everything
    wrong = run(cluster, "ps", "site@staging", "--env", "dev")
    assert "is not in the environment 'dev'" in str(wrong.exception)
    over.write_text("jobs:\n  web:\n    replicas: none\n    volumes:\nservice: other\n")
    assert str(run(cluster, "push", str(file), "--env", "staging").exception).splitlines() == [
        f"{over}:3: jobs.web.replicas: 'none' is not a whole number",
        f"{over}:4: jobs.web.volumes: there is nothing to take away; give a value, or leave it out",
        f"{over}:5: service: this goes over the file of 'site'; leave it out",
    ]
    for where in ([], ["--env", "staging"]):
        assert run(cluster, "down", "site", "--wait", *where).exit_code == 0


def test_a_file_without_an_overlay_is_the_same_in_an_environment(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "plain.yaml"
    file.write_text(SHOP.format(name="plain", version=1))
    pushed = run(cluster, "push", str(file), "--env", "dev")
    assert "plain@dev r1 is stored" in pushed.output and "there is no " in pushed.output


def test_scale_holds_until_the_file_says_another_number(cluster: Processes, shop: str, tmp_path: Path) -> None:
    run(cluster, "up", shop, "--wait")
    done = run(cluster, "scale", f"{shop}/web=3", "--wait")
    assert done.output.splitlines()[0] == "1 task to start or stop, 2 tasks up already"
    assert done.output.splitlines()[-1] == "3 tasks as wanted"
    for command in ("ps", "status", "diff"):
        note = run(cluster, command, shop).stderr
        assert re.fullmatch(rf"note: {shop}/web is scaled to 3 by \S+, [\w ]+ ago; its file says 2\n", note), note
    assert "is scaled to 3" in run(cluster, "history", shop, "--revisions").stderr
    (tmp_path / "shop.yaml").write_text(SHOP.format(name=shop, version=1).replace("replicas: 2", "replicas: 1"))
    pushed = run(cluster, "push", str(tmp_path / "shop.yaml"))
    assert pushed.stderr == f"note: {shop}/web will no longer be scaled to 3: what its file says has changed\n"
    assert run(cluster, "ps", shop).stderr == ""
    assert run(cluster, "update", shop, "--watch").exit_code == 0
    assert len(json.loads(run(cluster, "ps", shop, "--json").output)) == 2
    assert run(cluster, "scale", shop).exit_code == 2
    none = run(cluster, "scale", f"{shop}/web=0")
    assert f"to have none, use: offerer down {shop}/web" in str(none.exception)


def test_restart_starts_every_task_anew(cluster: Processes, shop: str) -> None:
    run(cluster, "up", shop, "--wait")
    before = {row["task_id"] for row in json.loads(run(cluster, "ps", shop, "--json").output)}
    done = run(cluster, "restart", shop, "--watch")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "3 tasks started anew"
    after = {row["task_id"] for row in json.loads(run(cluster, "ps", shop, "--json").output)}
    assert len(after) == 3 and not after & before


def test_what_cannot_be_stored_is_refused_wherever_it_stands(cluster: Processes) -> None:
    file = {"name": "x.yaml", "text": "service: odd\njobs: {web: {image: x, env_file: x.env}}\n"}
    with pytest.raises(InvalidInput, match=r"files\[0\].x.env: .* is no character of UTF-8"):
        cluster.session.call("coding", "push", {"files": [{**file, "files": {"x.env": "A=\ud800"}}]})
    with pytest.raises(InvalidInput, match="it must map paths to texts"):
        cluster.session.call("coding", "push", {"files": [{**file, "files": {"x.env": 1}}]})
    with pytest.raises(InvalidInput, match="goes with an environment"):
        cluster.session.call("coding", "push", {"files": [{**file, "overlay": "jobs: {}"}]})
    with pytest.raises(InvalidInput, match="'A/B' is not a name"):
        cluster.session.call("coding", "push", {"files": [file], "environment": "A/B"})
