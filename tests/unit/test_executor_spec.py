"""From a task to the arguments of the engine's create call, and from a container's labels back to the task."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.records import Task
from executor.retention import Ended, Retention, expired
from executor.secret_files import SecretFiles, unused
from executor.spec import (
    Engine,
    Host,
    SecretFile,
    check_task,
    container_name,
    create_arguments,
    labels,
    own_directory,
    parts,
    secret_files,
    signal_number,
    task_of,
)
from offerer import (
    SECOND,
    ContainerSpec,
    FrameworkId,
    HostId,
    InvalidSpec,
    Mount,
    PortMapping,
    Resources,
    Secret,
    TaskId,
)

HOST = Host(HostId("0123456789abcdef"), "db-1", "10.1.2.3", "prod")
ENGINE = Engine(8)
CAPPED = {"Type": "json-file", "Config": {"max-size": "10485760", "max-file": "5"}}
KEPT = (
    '{"ports":[{"container":8080,"host":31000,"name":"http","protocol":"tcp"},'
    '{"container":53,"host":31001,"name":"dns-udp","protocol":"udp"},'
    '{"container":8080,"host":80,"name":"","protocol":"tcp"}],"stop_grace":2500000,"stop_signal":"SIGINT"}'
)
RESOURCES = Resources.of(cpus=0.5, memory="256MiB", disk="1GiB", counts={"licences": 2}, ports="31000-31001,80")


def task(spec: ContainerSpec, resources: Resources = RESOURCES, task_id: str = "core/web.1") -> Task:
    made = Task((FrameworkId("coding"), TaskId(task_id)), resources)
    made.spec = spec
    return made


FULL = ContainerSpec(
    image="registry.local:5000/coding/web:20160531",
    command=("serve", "--port", "8080"),
    env={"MODE": "production", "PORT_HTTP": "as I say"},
    ports=(PortMapping(8080, 31000, name="http"), PortMapping(53, 31001, "udp", "dns-udp"), PortMapping(8080, 80)),
    volumes=(Mount("/data/web", "/var/lib/web"), Mount("cache", "/cache", read_only=True)),
    labels={"team": "core", "offerer.group": "core/web"},
    working_dir="/srv",
    user="1000:1000",
    stop_signal="SIGINT",
    stop_grace=2_500_000,
)


def test_everything_a_spec_can_say() -> None:
    assert create_arguments(task(FULL), HOST, ENGINE) == {
        "image": "registry.local:5000/coding/web:20160531",
        "name": "coding.core-web.1.f83f6c09",
        "command": ["serve", "--port", "8080"],
        "environment": {
            "OFFERER_TASK_ID": "core/web.1",
            "OFFERER_FRAMEWORK": "coding",
            "OFFERER_HOST": "db-1",
            "OFFERER_HOST_ADDRESS": "10.1.2.3",
            "PORT0": "31000",
            "PORT1": "31001",
            "PORT2": "80",
            "PORT_HTTP": "as I say",  # what the spec says goes over what the executor says
            "PORT_DNS_UDP": "31001",
            "MODE": "production",
        },
        "labels": {
            "team": "core",
            "offerer.group": "core/web",
            "offerer.cluster": "prod",
            "offerer.host": "0123456789abcdef",
            "offerer.framework": "coding",
            "offerer.task": "core/web.1",
            "offerer.resources": "cpus=0.5;memory=268435456;disk=1073741824;gpus=0;licences=2;ports=80,31000-31001",
            "offerer.spec": "2311a9d63032a450",
            "offerer.kept": KEPT,
        },
        "ports": [(8080, "tcp"), (53, "udp"), (8080, "tcp")],
        "working_dir": "/srv",
        "user": "1000:1000",
        "stop_signal": "SIGINT",
        "stop_timeout": 3,
        "host_config": {
            "port_bindings": {"8080/tcp": [31000, 80], "53/udp": [31001]},
            "binds": ["/data/web:/var/lib/web:rw", "cache:/cache:ro"],
            "nano_cpus": 500_000_000,
            "mem_limit": 268435456,
            "memswap_limit": 268435456,
            "log_config": CAPPED,
        },
    }


def test_gpus_a_task_has_are_asked_for_by_number() -> None:
    made = task(ContainerSpec(image="web"), Resources.of(gpus=2))
    made.gpus = (1, 3)
    arguments = create_arguments(made, HOST, ENGINE)
    assert arguments["host_config"]["device_requests"] == [{"DeviceIDs": ["1", "3"], "Capabilities": [["gpu"]]}]
    assert task_of(arguments["labels"]).gpus == (1, 3)


def test_a_pod_is_containers_that_join_the_first() -> None:
    web, side = ContainerSpec(name="web", image="web"), ContainerSpec(name="side", image="side", memory=64 << 20)
    step = ContainerSpec(name="setup", image="web", command=("migrate",))
    ports = (PortMapping(80, 31000),)
    pod = ContainerSpec(containers=(web, side), init_steps=(step,), ports=ports, networks=("n", "m"))
    made = task(pod)
    by_name = {part.name: create_arguments(made, HOST, ENGINE, part) for part in parts(pod)}
    assert list(by_name) == ["setup", "web", "side"]
    first = by_name["web"]["name"]
    assert first.endswith(".web") and by_name["web"]["labels"]["offerer.container"] == "web"
    assert by_name["web"]["host_config"]["ipc_mode"] == "shareable"
    assert by_name["web"]["host_config"]["port_bindings"] == {"80/tcp": [31000]}
    joined = by_name["side"]["host_config"]
    assert {joined[f"{kind}_mode"] for kind in ("network", "ipc", "pid")} == {f"container:{first}"}
    assert joined["mem_limit"] == 64 << 20 and "port_bindings" not in joined
    assert by_name["setup"]["host_config"]["network_mode"] == "n" and "ports" not in by_name["setup"]
    again = task_of(by_name["side"]["labels"])
    assert [part.name for part in parts(again.spec)] == ["setup", "web", "side"]


def test_executors_on_one_machine_keep_secrets_apart() -> None:
    """What one has no use for, another may have."""
    others = (Host(HostId("other"), cluster=HOST.cluster), Host(HOST.id, cluster="other"))
    assert len({own_directory(host) for host in (HOST, *others)}) == 3


def test_secrets_stay_until_their_container_has_ended(tmp_path: Path) -> None:
    """Also of one that is not made yet: its files are written first, and its task is held."""
    held, gone = task(ContainerSpec(image="x")), task(ContainerSpec(image="x"), task_id="gone.1")
    files = SecretFiles(str(tmp_path / "secrets"))
    assert files.present() == []
    names = [container_name(each.key, HOST, part) for each in (held, gone) for part in ("", "web", "ended")]
    for name in names:
        files.write([SecretFile(str(tmp_path / "secrets" / name / "0"), "/run/secrets/x", "hush")])
    assert sorted(files.present()) == sorted(names)
    over = [container_name(held.key, HOST, "ended")]
    assert unused(names, {container_name(held.key, HOST)}, over) == [*over, *names[3:]]


def test_secrets_are_in_files_and_variables_and_in_no_label() -> None:
    secrets = (Secret("db", "hush"), Secret("token", "hush", env="TOKEN"))
    made = task(ContainerSpec(image="web", secrets=secrets))
    arguments = create_arguments(made, HOST, ENGINE)
    source = f"/run/offerer/secrets/{arguments['name']}/0"
    assert arguments["host_config"]["binds"] == [f"{source}:/run/secrets/db:ro"]
    assert secret_files(made, HOST, made.spec, ENGINE.secrets) == [(source, "/run/secrets/db", "hush")]
    assert arguments["environment"]["TOKEN"] == "hush"
    assert arguments["labels"]["offerer.secret"] == "TOKEN" and "hush" not in str(arguments["labels"])


def test_a_container_of_a_pod_cannot_have_more_than_the_task() -> None:
    pod = ContainerSpec(containers=(ContainerSpec(name="a", image="a", memory=1 << 30),))
    with pytest.raises(InvalidSpec, match="spec.a.memory: 1073741824 is more than the task has"):
        check_task(pod, RESOURCES)


def test_a_spec_that_says_nothing_but_an_image() -> None:
    arguments = create_arguments(task(ContainerSpec(image="web"), Resources()), HOST, ENGINE)
    assert "command" not in arguments and "user" not in arguments  # the image says
    assert arguments["host_config"] == {"port_bindings": {}, "binds": [], "log_config": CAPPED}  # nothing is limited
    assert arguments["labels"]["offerer.group"] == "coding"


@pytest.mark.parametrize(("cpus", "limit"), [(0.001, 10_000_000), (2, 2_000_000_000), (64, 4_000_000_000)])
def test_cpu_limits_that_the_engine_would_refuse_are_made_to_fit(cpus: float, limit: int) -> None:
    arguments = create_arguments(task(ContainerSpec(image="web"), Resources.of(cpus=cpus)), HOST, Engine(4))
    assert arguments["host_config"]["nano_cpus"] == limit


@pytest.mark.parametrize(
    ("spec", "resources", "words"),
    [
        (ContainerSpec(), RESOURCES, "spec.image: '' must name an image"),
        (ContainerSpec(image="web"), Resources.of(memory="5MiB"), "resources.memory: 5242880 bytes is less"),
        (ContainerSpec(image="web", volumes=(Mount("a:b", "/c"),)), RESOURCES, "spec.volumes.source: 'a:b'"),
        (ContainerSpec(image="web", volumes=(Mount("", "/c"),)), RESOURCES, "spec.volumes.source: ''"),
        (ContainerSpec(image="web", labels={"offerer.task": "x"}), RESOURCES, "'offerer.task' is set by the executor"),
    ],
)
def test_what_cannot_be_a_container(spec: ContainerSpec, resources: Resources, words: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(words)):
        create_arguments(task(spec, resources), HOST, Engine(4))


def test_a_host_port_must_be_among_the_resources() -> None:
    check_task(FULL, RESOURCES)
    with pytest.raises(InvalidSpec, match="31001 is not among the ports of the task's resources .*ports=80,31000"):
        check_task(FULL, Resources.of(cpus=1, ports="80,31000"))


@pytest.mark.parametrize(("name", "number"), [("SIGTERM", 15), ("INT", 2), ("SIGKILL", 9)])
def test_signals(name: str, number: int) -> None:
    assert signal_number(name) == number


def test_a_task_is_known_again_from_its_labels() -> None:
    again = task_of(labels(task(FULL), HOST))
    assert again.key == ("coding", "core/web.1")
    assert again.resources == RESOURCES
    assert (again.spec.stop_signal, again.spec.stop_grace) == ("SIGINT", 2_500_000)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_every_name_is_legal_for_the_engine(framework: str, task_id: str) -> None:
    name = container_name((FrameworkId(framework), TaskId(task_id)), HOST)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name) and len(name) <= 140


def test_names_differ_where_only_what_they_cannot_show_differs() -> None:
    names = {container_name((FrameworkId("f"), TaskId(each)), HOST) for each in ("a/b", "a-b", "a b")}
    assert len(names) == 3


class TestRetention:
    def ended(self, name: str, at: int, group: str = "web") -> Ended:
        return Ended(name, (FrameworkId("shop"), TaskId(name)), group, at * SECOND)

    def removed(self, ended: list[Ended], now: int, **retention: int) -> list[str]:
        return sorted(each.handle for each in expired(ended, Retention(**retention), now * SECOND))

    def test_the_last_of_each_group_stay(self) -> None:
        ended = [self.ended(f"web{n}", n) for n in range(4)] + [self.ended("db0", 0, "db")]
        assert self.removed(ended, 10, keep_last=2) == ["web0", "web1"]

    def test_none_stays_for_ever(self) -> None:
        ended = [self.ended("old", 0), self.ended("new", 50)]
        assert self.removed(ended, 100, keep_for=60 * SECOND) == ["old"]

    def test_none_may_stay(self) -> None:
        assert self.removed([self.ended("a", 1)], 1, keep_last=0) == ["a"]
