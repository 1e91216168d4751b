"""Service files: what is meant by a right one, and what is said of a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from frameworks.coding.check import check_file
from frameworks.coding.files import PushedFile
from frameworks.coding.plans import JobPlan, plan_service
from frameworks.coding.pushes import prepare_push
from frameworks.coding.spec import ServiceFile
from frameworks.coding.state import State
from offerer import SECOND, Constraint, InvalidInput, Mount, Resources

BROKEN = sorted((Path(__file__).parent / "broken_services").glob("*.yaml"))
CORE = """\
service: core
jobs:
  mysql:
    image: registry.local:5000/coding/mysql:5.7
    resources: {cpus: 1, memory: 1GiB}
    ports: [{container: 3306, host: 3306}]
    volumes: [/data/mysql:/var/lib/mysql]
    tasks:                       # each task its own host and settings
      primary: {host: db-1, env: {ROLE: primary}}
      replica: {host: db-2, env: {ROLE: replica}}
  web:
    image: registry.local:5000/coding/web:20160531
    command: [serve, --port, "8080"]
    env: {MODE: production}
    resources: {cpus: 0.5, memory: 256MiB}
    ports: [{container: 8080, name: http}]     # a free host port from the offer
    replicas: 3
    depends_on: [mysql]
"""


def jobs(text: str) -> dict[str, JobPlan]:
    return plan_service(check_file("core.yaml", text).service)


def job(fields: str) -> JobPlan:
    return jobs(f"service: core\njobs:\n  web: {{image: nginx, {fields}}}\n")["web"]


def errors(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        prepare_push(State(), [PushedFile("core.yaml", text)], "me", "", 0)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_answered_with_every_problem(path: Path, request: pytest.FixtureRequest) -> None:
    """With --bless the expected answers are written anew; review the diff."""
    answer = "\n".join(errors(path.read_text())) + "\n"
    golden = path.with_suffix(".txt")
    if request.config.getoption("--bless"):
        golden.write_text(answer)
    assert answer == golden.read_text()


def test_there_are_enough_broken_files() -> None:
    assert len(BROKEN) >= 30


def test_the_example_means_what_it_says() -> None:
    planned = jobs(CORE)
    primary, web = planned["mysql"].tasks["primary"], planned["web"].tasks["1"]
    assert primary.resources == Resources.of(cpus=1, memory="1GiB", ports="3306")
    assert primary.constraints == (Constraint("host", "==", ("db-1",)),)
    assert primary.container.env == {"ROLE": "primary"}
    assert primary.container.volumes == (Mount("/data/mysql", "/var/lib/mysql"),)
    assert list(planned["web"].tasks) == ["1", "2", "3"]
    assert web.container.command == ("serve", "--port", "8080")
    assert web.free_ports == 1
    assert [str(name) for name in planned["web"].depends_on] == ["core/mysql"]


def test_a_task_adds_variables_and_labels_and_replaces_the_rest() -> None:
    tasks = job(
        "env: {A: 1, B: 2}, labels: {x: y}, resources: {cpus: 2, memory: 1GiB}, hosts: [a, b], command: [one], "
        "tasks: {t: {env: {B: 3, C: true}, labels: {z: w}, resources: {cpus: 3}, host: c, command: [two]}}"
    ).tasks
    assert tasks["t"].container.env == {"A": "1", "B": "3", "C": "true"}
    assert tasks["t"].container.labels == {"x": "y", "z": "w"}
    assert tasks["t"].resources == Resources.of(cpus=3, memory="1GiB")
    assert tasks["t"].constraints == (Constraint("host", "==", ("c",)),)
    assert tasks["t"].container.command == ("two",)


def test_every_setting_reaches_the_container() -> None:
    container = job(
        "working_dir: /srv, user: '1000', pull: never, stop_signal: SIGINT, stop_grace: 1m30s, "
        "volumes: ['/a:/b:ro', 'files:/c']"
    ).tasks["1"].container
    assert (container.working_dir, container.user, container.pull) == ("/srv", "1000", "never")
    assert (container.stop_signal, container.stop_grace) == ("SIGINT", 90 * SECOND)
    assert container.volumes == (Mount("/a", "/b", True), Mount("files", "/c"))


def test_conditions_are_taken_apart() -> None:
    found = job(
        r"constraints: ['zone == a', disk in [ssd] , 'rack not in [r1, ''r 2'']', 'kernel =~ 6\.\d+', 'zone != b']"
        .replace("disk in [ssd]", "'disk in [ssd, nvme]'")
    ).tasks["1"].constraints
    assert found == (
        Constraint("zone", "==", ("a",)),
        Constraint("disk", "in", ("ssd", "nvme")),
        Constraint("rack", "not in", ("r1", "r 2")),
        Constraint("kernel", "=~", (r"6\.\d+",)),
        Constraint("zone", "!=", ("b",)),
    )


def test_words_that_older_yaml_takes_for_something_else_stay_words() -> None:
    env = job("env: {A: yes, B: on, C: 12:30, D: 2016-05-31, E: 1_000, F: '0644', G: 0.5, H: -3, I: ''}").tasks["1"]
    assert env.container.env == {
        "A": "yes", "B": "on", "C": "12:30", "D": "2016-05-31", "E": "1_000", "F": "0644", "G": "0.5", "H": "-3",
        "I": "",
    }  # fmt: skip


def test_anchors_and_merges_work_as_in_compose() -> None:
    text = """\
service: core
jobs:
  api: &common
    image: app:1
    env: {MODE: production}
    resources: {cpus: 0.2, memory: 64MiB}
  web:
    <<: *common
    image: app:2
"""
    web = jobs(text)["web"].tasks["1"]
    assert web.container.image == "app:2"
    assert web.container.env == {"MODE": "production"}
    assert web.resources == Resources.of(cpus=0.2, memory="64MiB")


def test_aliases_that_unfold_without_end_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "unfolds without end" in "".join(errors("\n".join(lines)))


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "service: " + "9" * 10_000])
def test_text_made_to_break_the_parser_is_an_ordinary_error(text: str) -> None:
    assert len(errors(text)[0]) < 300


@pytest.mark.parametrize("odd", [r"\ud800", r"\0"])
@pytest.mark.parametrize("line", ['command: [sleep, "{}"]', 'env: {{A: "{}"}}', 'image: "a{}"', '"{}": x'])
def test_what_no_command_line_can_carry_is_refused_with_its_line(line: str, odd: str) -> None:
    said = errors(f"service: core\njobs:\n  web:\n    command: [x]\n    {line.format(odd)}\n")
    assert said[0].startswith("core.yaml:5: ") and said[0].isprintable()


def test_a_number_of_thousands_of_digits_is_called_one() -> None:
    (said,) = errors(f"service: core\njobs: {{web: {{command: [x], replicas: {'9' * 5000}}}}}")
    assert "9…" in said and "cannot be read as a number" in said


def test_a_file_that_would_take_long_to_read_is_not_read() -> None:
    (said,) = errors("service: core\n" + "# nothing to see here\n" * 30_000)
    assert "more than the 524288 of a service file" in said


def test_a_port_without_a_container_port_is_the_same_inside_and_outside() -> None:
    (port,) = job("ports: [{host: 80}]").tasks["1"].ports
    assert (port.container, port.host) == (None, 80)
    assert job("ports: [{name: http}]").tasks["1"].free_ports == 1


def test_the_model_survives_the_store() -> None:
    service = check_file("core.yaml", CORE).service
    again = ServiceFile.model_validate(service.model_dump(mode="json", exclude_unset=True))
    assert plan_service(again) == plan_service(service)


def test_problems_of_several_files_come_together() -> None:
    with pytest.raises(InvalidInput) as caught:
        files = [PushedFile("a.yaml", "service: a\n"), PushedFile("b.yaml", "service: B\njobs: {}\n")]
        prepare_push(State(), files, "me", "", 0)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == ["a.yaml:1", "b.yaml:1", "b.yaml:2"]


def test_one_service_in_two_files_is_refused() -> None:
    text = "service: a\njobs: {web: {image: x}}\n"
    with pytest.raises(InvalidInput, match=r"2.yaml:1: service: 'a' is in 1.yaml too"):
        prepare_push(State(), [PushedFile("1.yaml", text), PushedFile("2.yaml", text)], "me", "", 0)


def test_a_cycle_over_two_services_is_refused_when_it_closes() -> None:
    state = State()
    one = "service: a\njobs: {web: {image: x, depends_on: [b/api]}}\n"
    push = prepare_push(state, [PushedFile("a.yaml", one)], "me", "", 0)
    assert push.warnings == ["a/web depends on b/api, which is not pushed yet; it waits until it is"]
    state.add_revisions(push.revisions)
    with pytest.raises(InvalidInput, match="b.yaml:2: .*: a/web → b/api → a/web; take one dependency out"):
        other = PushedFile("b.yaml", "service: b\njobs: {api: {image: x, depends_on: [a/web]}}\n")
        prepare_push(state, [other], "me", "", 0)


def test_taking_away_what_others_need_is_a_warning() -> None:
    state = State()
    files = [
        PushedFile("a.yaml", "service: a\njobs: {web: {image: x, depends_on: [b/api]}}\n"),
        PushedFile("b.yaml", "service: b\njobs: {api: {image: x}}\n"),
    ]
    state.add_revisions(prepare_push(state, files, "me", "", 0).revisions)
    push = prepare_push(state, [PushedFile("b.yaml", "service: b\njobs: {other: {image: x}}\n")], "me", "", 0)
    assert push.warnings == ["a/web depends on b/api, which this push takes away"]


def test_a_file_that_says_nothing_new_is_no_revision() -> None:
    state = State()
    state.add_revisions(prepare_push(state, [PushedFile("core.yaml", CORE)], "me", "", 0).revisions)
    again = prepare_push(state, [PushedFile("core.yaml", "# a comment\n" + CORE)], "me", "", 0)
    assert again.revisions == [] and [revision.number for revision in again.unchanged] == [1]


WORDS = ["service", "jobs", "web", "image", "env", "ports", "host", "tasks", "resources", "replicas", "cpus", "x", "<<"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | LEAVES, inner, max_size=5),
    max_leaves=20,
)


@given(TREES)
def test_whatever_is_written_the_answer_is_a_service_or_a_list_of_problems(tree: object) -> None:
    text = yaml.safe_dump({"service": "core", "jobs": {"web": tree}} if isinstance(tree, dict) else tree)
    try:
        plan_service(check_file("core.yaml", text).service)
    except InvalidInput as error:
        assert all(line.startswith("core.yaml:") for line in str(error).splitlines())


@given(st.text(alphabet=st.sampled_from("abc:-[]{}&*!|>'\"#%@`, \n\t\0\ud800<~0.x")))
def test_no_text_is_a_traceback(text: str) -> None:
    with pytest.raises(InvalidInput, match="core.yaml:"):
        check_file("core.yaml", text)
