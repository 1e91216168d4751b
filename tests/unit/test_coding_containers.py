"""The containers of services: every setting, pods, files beside the service file, secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frameworks.coding import orders
from frameworks.coding.check import check_file, check_pushed
from frameworks.coding.diff import differences
from frameworks.coding.files import PushedFile, parse_variables, wanted_files
from frameworks.coding.names import Target, TaskName, parse_target, parse_task_id
from frameworks.coding.overlay import render
from frameworks.coding.planner import Planner
from frameworks.coding.plans import JobPlan, plan_service, task_to_launch
from frameworks.coding.pushes import Push, prepare_push
from frameworks.coding.reference import json_schema, markdown
from frameworks.coding.revisions import read_revision
from frameworks.coding.source import parse
from frameworks.coding.spec import ServiceFile
from frameworks.coding.state import State
from frameworks.coding.views import task_rows
from offerer import (
    DEFAULT_ROLE,
    ContainerSpec,
    Device,
    HostId,
    InvalidInput,
    Mount,
    NotFound,
    Offer,
    OfferId,
    PortMapping,
    Resources,
    Secret,
    TaskId,
    TaskState,
    TaskStatus,
    Tmpfs,
    Ulimit,
)
from tests.coding_cluster import SimCluster, SimHost

ROOT = Path(__file__).parents[2]
EVERYTHING = """\
service: core
jobs:
  web:
    image: nginx:1.27
    entrypoint: [/entry, --]
    tmpfs: [/run, '/tmp:size=64MiB']
    devices: [/dev/fuse, '/dev/sda:/dev/disk:r']
    networks: [backend, front]
    hostname: web.internal
    extra_hosts: ['db:10.0.0.7', 'v6=::1', 'here:host-gateway']
    dns: [10.0.0.1]
    dns_search: [internal]
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    privileged: true
    read_only: true
    init: true
    ulimits: {nofile: 65536, memlock: {soft: 1, hard: -1}}
    sysctls: {net.core.somaxconn: 1024}
    shm_size: 128MiB
    pids_limit: 200
    logging: {driver: local, options: {compress: true}, size: 5MiB}
"""
POD = """\
service: core
jobs:
  web:
    ports: [{container: 8080, name: http}]
    env: {MODE: production, LEVEL: info}
    health: {http: /healthz}
    containers:
      web: {image: 'web:1', resources: {cpus: 0.5, memory: 192MiB}, env: {LEVEL: debug}}
      shipper: {image: 'shipper:2', resources: {cpus: 0.25, memory: 64MiB}, liveness: {command: [check]}}
    init_steps:
      migrate: {image: 'web:1', command: [migrate]}
"""


def jobs(text: str, **files: str) -> dict[str, JobPlan]:
    return plan_service(check_pushed(PushedFile("core.yaml", text, files=files)).service)


def launched(job: JobPlan, task: str = "1") -> ContainerSpec:
    plan = job.tasks[task]
    ports = [
        PortMapping(port.container or port.host or 31000, port.host or 31000, name=port.name or "")
        for port in plan.ports
    ]
    info = task_to_launch(TaskName(*job.name, task), TaskId("x"), plan, ports, lambda *_: "")
    return ContainerSpec.from_bytes(info.spec)


# -- settings ---------------------------------------------------------------------------------------------------


def test_every_setting_of_a_container_reaches_it() -> None:
    got = jobs(EVERYTHING)["web"].tasks["1"].container
    assert got == ContainerSpec(
        image="nginx:1.27",
        entrypoint=("/entry", "--"),
        tmpfs=(Tmpfs("/run"), Tmpfs("/tmp", 64 << 20)),
        devices=(Device("/dev/fuse"), Device("/dev/sda", "/dev/disk", "r")),
        networks=("backend", "front"),
        hostname="web.internal",
        extra_hosts={"db": "10.0.0.7", "v6": "::1", "here": "host-gateway"},
        dns=("10.0.0.1",),
        dns_search=("internal",),
        cap_add=("NET_ADMIN",),
        cap_drop=("ALL",),
        privileged=True,
        read_only=True,
        init=True,
        ulimits=(Ulimit("nofile", 65536, 65536), Ulimit("memlock", 1, -1)),
        sysctls={"net.core.somaxconn": "1024"},
        shm_size=128 << 20,
        pids_limit=200,
        log_driver="local",
        log_options={"compress": "true"},
        log_size=5 << 20,
    )


def test_a_port_on_the_hosts_network_is_the_same_on_both_sides() -> None:
    fields = "network_mode: host, ports: [{name: http}, {host: 80, name: web}], health: {http: /, port: http}"
    container = launched(jobs(f"service: core\njobs: {{web: {{image: x, {fields}}}}}\n")["web"])
    assert container.host_network
    assert [port.container for port in container.ports] == [31000, 80]


# -- pods -------------------------------------------------------------------------------------------------------


def test_a_pod_is_several_containers_in_order() -> None:
    job = jobs(POD)["web"]
    pod = launched(job)
    assert [each.name for each in pod.containers] == ["web", "shipper"]
    assert [each.name for each in pod.init_steps] == ["migrate"]
    assert job.tasks["1"].resources == Resources.of(cpus=0.75, memory="256MiB")
    assert (pod.containers[0].cpus, pod.containers[0].memory) == (500, 192 << 20)
    assert pod.readiness and (pod.readiness.http, pod.readiness.port) == ("/healthz", 8080)
    assert pod.containers[1].liveness and pod.containers[1].liveness.command == ("check",)
    assert not pod.env
    for each, level in ((pod.containers[0], "debug"), (pod.containers[1], "info"), (pod.init_steps[0], "info")):
        assert each.env == {"OFFERER_TASK": "core/web/1", "MODE": "production", "LEVEL": level}
    assert job.tasks["1"].probed


def test_a_single_container_may_have_init_steps_that_share_nothing_with_it() -> None:
    container = launched(jobs(
        "service: core\njobs: {web: {image: x, env: {A: 1}, init_steps: {setup: {image: y, volumes: ['files:/v']}}}}\n"
    )["web"])  # fmt: skip
    (setup,) = container.init_steps
    assert (setup.image, setup.env) == ("y", {"OFFERER_TASK": "core/web/1"})
    assert setup.volumes == (Mount("files", "/v"),)
    assert container.env == {"OFFERER_TASK": "core/web/1", "A": "1"}


def test_another_order_of_containers_is_a_change() -> None:
    state = State()
    for containers in ("{a: {image: x}, b: {image: x}}", "{b: {image: x}, a: {image: x}}"):
        pushed = push(state, f"service: core\njobs: {{web: {{containers: {containers}}}}}\n")
        assert len(pushed.revisions) == 1
    (change,) = differences(state.revisions["core"][1], state.revisions["core"][2])
    assert change == ("jobs.web.containers", ["a", "b"], ["b", "a"])


# -- env files --------------------------------------------------------------------------------------------------


def test_env_files_are_read_below_env_and_later_ones_over_earlier() -> None:
    text = (
        "service: core\njobs:\n  web:\n    image: x\n    env_file: [a.env, b.env]\n    env: {C: 3}\n"
        "    tasks: {one: {env_file: c.env}}\n"
    )
    files = {"a.env": "A=1\nB=1\nC=1\n", "b.env": "B=2\nC=2\n", "c.env": "C=4\n"}
    assert wanted_files(PushedFile("core.yaml", text)) == ["a.env", "b.env", "c.env"]
    assert jobs(text, **files)["web"].tasks["one"].container.env == {"A": "1", "B": "2", "C": "4"}


def test_env_files_are_read_as_compose_reads_them() -> None:
    text = "\ufeff# c\n\nA=1\nexport B = two words # c\nC='a # b'\nD=\"x\\n\\\"y\\\"\" # c\nE=\nF=a#b\nG=#c\n"
    assert parse_variables(text) == (
        {"A": "1", "B": "two words", "C": "a # b", "D": 'x\n"y"', "E": "", "F": "a#b", "G": ""},
        [],
    )


def test_what_is_wrong_with_an_env_file_names_its_line() -> None:
    text = "service: core\njobs:\n  web:\n    image: x\n    env_file: [web.env, ../no.env]\n"
    file = PushedFile(
        "deploy/core.yaml",
        text,
        files={"web.env": "A=1\nB B\nC='x\n"},
        unreadable={"../no.env": "No such file or directory"},
    )
    with pytest.raises(InvalidInput) as caught:
        check_pushed(file)
    assert str(caught.value).splitlines() == [
        "deploy/web.env:2: 'B B' does not begin as NAME=value does; comments begin with #",
        "deploy/web.env:3: C: the quote is not closed, or more follows it; close it in this line",
        "deploy/core.yaml:5: jobs.web.env_file: 'deploy/../no.env' cannot be read: No such file or directory; "
        "paths are relative to the service file",
    ]


# -- secrets ----------------------------------------------------------------------------------------------------

WITH_SECRETS = """\
service: core
jobs:
  web:
    image: x
    secrets:
      db-password: store
      key: {store: api-key, env: API_KEY}
      tls: {file: tls.pem, target: /etc/tls.pem}
"""


def push(state: State, text: str, **files: str) -> Push:
    pushed = prepare_push(state, [PushedFile("core.yaml", text, files=files)], "me", "", 0)
    state.secrets.took_place(pushed.secrets)
    state.add_revisions(pushed.revisions)
    return pushed


def set_secret(state: State, name: str, value: str) -> None:
    state.secrets.took_place(state.secrets.set(name, value, "me", 0)[1])


def with_secrets() -> State:
    state = State()
    set_secret(state, "db-password", "hunter2")
    set_secret(state, "api-key", "k1")
    push(state, WITH_SECRETS, **{"tls.pem": "PEM"})
    return state


def test_a_revision_holds_on_to_the_versions_of_its_secrets() -> None:
    state = with_secrets()
    set_secret(state, "db-password", "hunter3")
    first = state.revisions["core"][1]
    assert first.secrets == {"db-password": 1, "api-key": 1, "core:tls.pem": 1}
    task = first.jobs["web"].tasks["1"]
    info = task_to_launch(TaskName("core", "web", "1"), TaskId("x"), task, [], state.secrets.value)
    assert ContainerSpec.from_bytes(info.spec).secrets == (
        Secret("db-password", "hunter2"),
        Secret("key", "k1", env="API_KEY"),
        Secret("tls", "PEM", target="/etc/tls.pem"),
    )


def test_a_changed_secret_is_a_change_that_diff_shows_without_its_value() -> None:
    state = with_secrets()
    assert not push(state, WITH_SECRETS, **{"tls.pem": "PEM"}).revisions
    set_secret(state, "db-password", "hunter3")
    assert push(state, WITH_SECRETS, **{"tls.pem": "PEM2"}).revisions
    assert differences(state.revisions["core"][1], state.revisions["core"][2]) == [
        ("secrets.core:tls.pem", "version 1", "version 2"),
        ("secrets.db-password", "version 1", "version 2"),
    ]


def test_a_revision_does_not_contain_its_secrets() -> None:
    written = with_secrets().revisions["core"][1].to_bytes()
    assert b"hunter2" not in written and b"PEM" not in written and b'"core:tls.pem": 1' in written


def test_a_secret_that_is_not_there_is_refused_at_push() -> None:
    with pytest.raises(InvalidInput) as caught:
        push(State(), WITH_SECRETS, **{"tls.pem": "PEM"})
    assert str(caught.value).splitlines() == [
        "core.yaml:6: jobs.web.secrets.db-password: there is no secret db-password; "
        "set it with: offerer secret set db-password",
        "core.yaml:7: jobs.web.secrets.key: there is no secret api-key; set it with: offerer secret set api-key",
    ]


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", "x" * (256 << 10) + "x"])
def test_what_cannot_be_a_secret_is_not_shown(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        State().secrets.set("x", value, "me", 0)
    assert "the secret " in str(caught.value) and len(str(caught.value)) < 100


def test_the_numbers_of_removed_versions_are_not_used_again() -> None:
    state = State()
    set_secret(state, "x", "one")
    state.secrets.took_place(state.secrets.remove("x", "me", 0))
    assert not state.secrets.has("x") and not list(state.secrets.rows(""))
    with pytest.raises(NotFound):
        state.secrets.value("x")
    set_secret(state, "x", "two")
    assert (state.secrets.newest("x"), state.secrets.has("x", 1)) == (3, False)


def test_the_store_brings_secrets_back() -> None:
    before = State()
    _, changes = before.secrets.set("core@staging:certs/tls.pem", "PEM", "me", 7)
    after = State()
    after.secrets.took_place(changes)
    assert after.secrets.value("core@staging:certs/tls.pem") == "PEM"
    (row,) = after.secrets.rows("staging")
    assert (row["name"], row["from"], row["version"], row["size"]) == ("core:certs/tls.pem", "file", 1, 3)


def test_an_update_rolls_out_a_changed_secret_and_a_task_without_one_waits() -> None:
    c = SimCluster([SimHost("a", Resources.of(cpus=4, memory="8GiB"))])
    text = "service: core\njobs: {web: {image: x, secrets: {db-password: store}}}\n"
    set_secret(c.state, "db-password", "hunter2")
    c.push(text)
    c.up("core")
    c.settle()
    set_secret(c.state, "db-password", "hunter3")
    c.push(text)
    c.update("core")
    c.settle()
    (row,) = c.rows().values()
    assert row["revision"] == 2
    c.down("core")
    c.settle()
    c.state.secrets.took_place(c.state.secrets.remove("db-password", "me", 0))
    c.up("core")
    c.settle()
    (row,) = c.rows().values()
    assert row["reason"] == (
        "the secret db-password was removed; set it with: offerer secret set db-password, then push and update"
    )


# -- images ---------------------------------------------------------------------------------------------------


def test_how_far_a_pull_is_stands_in_ps() -> None:
    state = State()
    push(state, "service: core\njobs: {web: {image: x}}\n")
    orders.up(state, [Target("core")], 0)
    planner = Planner(state)
    host = HostId("h")
    planner.offered(0, [Offer(OfferId(1), host, "a", DEFAULT_ROLE, Resources.of(cpus=4, memory="8GiB"), {}, "")])
    state.journal.drop()
    planner.ticked(0)
    said = "pulling image x: 1 of 3 layers, 2MiB of 10MiB"
    planner.statuses(0, [TaskStatus(TaskId("core.web.1.r1-1"), TaskState.STARTING, host, message=said)])
    (row,) = task_rows(state, [Target("core")], 0)
    assert (row["state"], row["reason"]) == ("STARTING", said)


# -- the reference ----------------------------------------------------------------------------------------------


def test_the_reference_is_current() -> None:
    """Made anew with: make reference."""
    assert (ROOT / "docs" / "SERVICE_FILE.md").read_text() == markdown()
    assert json.loads((ROOT / "docs" / "service.schema.json").read_text()) == json_schema()


def test_every_field_is_described() -> None:
    models = [ServiceFile.model_json_schema(), *ServiceFile.model_json_schema()["$defs"].values()]
    lacking = [name for model in models for name, field in model["properties"].items() if "description" not in field]
    assert not lacking


def test_the_text_of_a_file_alone_is_enough_for_other_tools() -> None:
    assert check_file("core.yaml", EVERYTHING).service.service == "core"


# -- environments -----------------------------------------------------------------------------------------------


def test_what_a_service_of_an_environment_refers_to_is_in_it() -> None:
    text = (
        "service: core\njobs:\n  db: {image: x, volumes: ['files:/srv', '/data:/data']}\n"
        "  web: {image: x, depends_on: [db, other/api], constraints: [with db, apart other/api]}\n"
    )
    planned = plan_service(check_file("core.yaml", text).service, "staging")
    assert [str(name) for name in planned["web"].depends_on] == ["core@staging/db", "other@staging/api"]
    rules = planned["web"].tasks["1"].rules
    assert [str(rule.job) for rule in rules] == ["core@staging/db", "other@staging/api"]
    assert planned["db"].tasks["1"].container.volumes == (Mount("files_staging", "/srv"), Mount("/data", "/data"))


def test_containers_are_told_their_environment() -> None:
    job = plan_service(check_file("core.yaml", "service: core\njobs: {web: {image: x}}\n").service, "dev")["web"]
    assert launched(job).env == {"OFFERER_TASK": "core@dev/web/1", "OFFERER_ENVIRONMENT": "dev"}


def test_names_in_environments_take_apart_in_one_way_only() -> None:
    name = TaskName("core@staging", "web", "2")
    assert parse_task_id(name.launch(7, 3)) == (name, 7, 3)
    longest = TaskName(f"{'s' * 63}@{'e' * 32}", "j" * 63, "t" * 63)
    assert len(longest.launch(99_999_999, 99_999_999)) <= 255
    assert parse_target("core/web", "staging") == Target("core@staging", "web")
    for wrong in ("core@", "@staging", "core@a@b", "core@" + "e" * 33, "core/web@staging"):
        with pytest.raises(InvalidInput):
            parse_target(wrong)


def test_another_tool_may_put_a_file_of_an_environment_into_the_store() -> None:
    revision = read_revision("revisions/core@staging/00000001", b"service: core\njobs: {web: {image: x}}\n", 0)
    assert (revision.service, revision.number) == ("core@staging", 1)
    assert read_revision(revision.key, revision.to_bytes(), 0).says_the_same(revision)


def test_an_overlay_goes_over_the_file_field_by_field() -> None:
    base = "service: core\njobs:\n  web: {image: x, command: [a, b], env: {A: 1, B: 2}}\n  old: {image: x}\n"
    over = "# comment\njobs:\n  web: {command: [c], env: {B: 0x1F, C: '3'}}\n  old:\n  new: {image: z}\n"
    checked = check_pushed(PushedFile("core.yaml", base, "dev", over.replace("0x1F", "'0x1F'")))
    again = "service: core\njobs:\n  web:\n    image: x\n    command:\n      - c\n    env:\n"
    again += "      A: '1'\n      B: '0x1F'\n      C: '3'\n  new:\n    image: z\n"
    assert checked.text == again
    assert check_file("core.yaml", checked.text).service == checked.service
    for empty in ("", "# nothing\n\n  # at all\n"):
        assert check_pushed(PushedFile("core.yaml", base, "dev", empty)).service == check_file("c", base).service
    with pytest.raises(InvalidInput) as caught:
        check_pushed(PushedFile("core.yaml", base, "dev", over))
    assert str(caught.value) == (
        "core.dev.yaml:3: jobs.web.env.B: 0x1F can be read in several ways; write '0x1F'"
    )


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(min_size=1), each, max_size=3),
    max_leaves=10,
))  # fmt: skip
def test_what_is_rendered_reads_as_the_same(data: object) -> None:
    source = parse(render({"service": data}))
    if not source.problems:  # what cannot be part of a service file is said, not changed
        assert source.data == {"service": data}
