"""Container specs and constraints: what is wrong with them is said in one sentence."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from offerer import (
    Constraint,
    ContainerSpec,
    Device,
    Mount,
    PortMapping,
    Probe,
    Secret,
    Tmpfs,
    Ulimit,
    check_container,
)
from offerer.constraints import check_constraint
from offerer.errors import InvalidInput, InvalidSpec


def test_defaults_are_left_out_of_the_bytes():
    assert ContainerSpec().to_bytes() == b"{}"
    spec = ContainerSpec(image="web", ports=(PortMapping(8080, 31000),))
    assert json.loads(spec.to_bytes()) == {
        "image": "web",
        "ports": [{"container": 8080, "host": 31000, "name": "", "protocol": "tcp"}],
    }
    assert ContainerSpec.from_bytes(b"") == ContainerSpec()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "the task's spec is not JSON"),
        (b"\xff", "the task's spec is not JSON"),
        (b"[" * 100_000, "the task's spec is not JSON"),
        (b"[]", "the task's spec is list, it must be a JSON object"),
        (b'{"img": 1}', "spec: unknown field 'img'; this executor may be older than the framework"),
        (b'{"image": 1}', "spec.image: 1 must be a string; quote it"),
        (b'{"user": "\\u0000"}', "spec.user: '\\x00' must not contain a NUL character or half a surrogate pair"),
        (b'{"user": "\\ud800"}', "spec.user: '\\ud800' must not contain a NUL character or half a surrogate pair"),
        (b'{"command": "ls"}', "spec.command: 'ls' must be a list"),
        (b'{"command": [1]}', "spec.command: 1 must be a string; quote it"),
        (b'{"env": ["A=1"]}', "spec.env: ['A=1'] must map strings to strings; quote numbers"),
        (b'{"env": {"A": 1}}', "spec.env: {'A': 1} must map strings to strings; quote numbers"),
        (b'{"env": {"A": "\\u0000"}}', "spec.env: '\\x00' must not contain a NUL character or half a surrogate pair"),
        (b'{"env": {"1A": ""}}', "spec.env: '1A' is not a variable name; use letters, digits and '_'"),
        (b'{"env": {"A\\n": ""}}', "spec.env: 'A\\n' is not a variable name; use letters, digits and '_'"),
        (b'{"labels": {"a": null}}', "spec.labels: {'a': None} must map strings to strings; quote numbers"),
        (b'{"ports": [1]}', "spec.ports: 1 must be an object"),
        (b'{"ports": [{"container": 80}]}', "spec.ports: missing 1 required positional argument: 'host'"),
        (b'{"ports": [{"container": 0, "host": 80}]}', "spec.ports.container: 0 must be a port from 1 to 65535"),
        (b'{"ports": [{"container": 1, "host": "80"}]}', "spec.ports.host: '80' must be a port from 1 to 65535"),
        (b'{"ports": [{"container": 1, "host": 1, "name": 1}]}', "spec.ports.name: 1 must be a string; quote it"),
        (
            b'{"ports": [{"container": 1, "host": 1, "protocol": "sctp"}]}',
            "spec.ports.protocol: 'sctp' must be tcp or udp",
        ),
        (
            b'{"volumes": [{"source": "a", "target": "b"}]}',
            "spec.volumes.target: 'b' must be an absolute path in the container",
        ),
        (b'{"volumes": [{"source": 1, "target": "/b"}]}', "spec.volumes.source: 1 must be a string; quote it"),
        (
            b'{"volumes": [{"source": "/a/../b", "target": "/b"}]}',
            "spec.volumes.source: '/a/../b' must not contain '..'",
        ),
        (b'{"pull": "often"}', "spec.pull: 'often' must be missing, always or never"),
        (b'{"stop_grace": -1}', "spec.stop_grace: -1 must be microseconds, 0 or more"),
        (b'{"stop_grace": 1.5}', "spec.stop_grace: 1.5 must be microseconds, 0 or more"),
    ],
)
def test_a_wrong_spec_is_refused_with_field_value_and_fix(raw, message):
    with pytest.raises(InvalidSpec) as raised:
        ContainerSpec.from_bytes(raw)
    assert str(raised.value).startswith(message)


STEP = ContainerSpec(name="step", image="x")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ContainerSpec(working_dir="src"), "spec.working_dir: 'src' must be an absolute path in the container"),
        (ContainerSpec(volumes=(Mount("./x", "/x"),)), "spec.volumes.source: './x' must be an absolute path of the"),
        (
            ContainerSpec(volumes=(Mount("/a", "/x"),), tmpfs=(Tmpfs("/x"),)),
            "spec.volumes: two things are mounted on '/x'; keep one",
        ),
        (ContainerSpec(devices=(Device("/dev/fuse", permissions="x"),)), "spec.devices.permissions: 'x' must be"),
        (ContainerSpec(secrets=(Secret("a b", "v"),)), "spec.secrets.name: 'a b' must be letters, digits"),
        (ContainerSpec(secrets=(Secret("a", "v", "/a", "A"),)), "spec.secrets: 'a' has both a target and an env"),
        (ContainerSpec(secrets=(Secret("a", "v", env="A"),), env={"A": ""}), "spec.secrets.env: 'A' is in env too"),
        (
            ContainerSpec(secrets=(Secret("a", "v"), Secret("b", "v", "/run/secrets/a"))),
            "spec.secrets: two secrets go to '/run/secrets/a'; keep one",
        ),
        (ContainerSpec(host_network=True, networks=("n",)), "spec.networks: ['n'] cannot be had with host_network"),
        (
            ContainerSpec(host_network=True, ports=(PortMapping(80, 8080),)),
            "spec.ports: 80 cannot be published as 8080 with host_network",
        ),
        (ContainerSpec(networks=("host",)), "spec.networks: 'host' cannot be joined; write host_network"),
        (ContainerSpec(extra_hosts={"db": ""}), "spec.extra_hosts: 'db': '' must map a host name to an address"),
        (ContainerSpec(cap_add=("net",)), "spec.cap_add: 'net' is not a capability, for example NET_ADMIN"),
        (ContainerSpec(ulimits=(Ulimit("nofile", 9, 1),)), "spec.ulimits: nofile has soft 9 above hard 1"),
        (ContainerSpec(readiness=Probe()), "spec.readiness.port: 0 must be a port from 1 to 65535"),
        (ContainerSpec(liveness=Probe("healthz", 80)), "spec.liveness.http: 'healthz' must be a path"),
        (ContainerSpec(liveness=Probe(port=80, command=("x",))), "spec.liveness: it has both a command and a port"),
        (
            ContainerSpec(readiness=Probe(port=80, interval=5)),
            "spec.readiness.interval: 5 must be microseconds, 100000 (0.1 s) or more",
        ),
        (ContainerSpec(readiness=Probe(port=80, failures=0)), "spec.readiness.failures: 0 must be a count, 1 or more"),
        (ContainerSpec(image="x", containers=(STEP,)), "spec.image: it belongs to one of the pod's containers"),
        (ContainerSpec(containers=(STEP, STEP)), "spec.containers: the name 'step' is given twice"),
        (ContainerSpec(containers=(ContainerSpec(),)), "spec.containers.name: '' must be lower-case letters"),
        (
            ContainerSpec(containers=(replace(STEP, networks=("n",)),)),
            "spec.containers.step.networks: it belongs to the whole task; move it there",
        ),
        (
            ContainerSpec(init_steps=(replace(STEP, env={"1": ""}),)),
            "spec.init_steps.step.env: '1' is not a variable name",
        ),
        (
            ContainerSpec(init_steps=(replace(STEP, liveness=Probe(port=1)),)),
            "spec.init_steps.step: an init step runs to its end; it takes no probes",
        ),
    ],
)
def test_what_no_executor_could_accept_is_refused(spec, message):
    with pytest.raises(InvalidSpec) as raised:
        check_container(spec)
    assert str(raised.value).startswith(message)
    with pytest.raises(InvalidSpec):
        ContainerSpec.from_bytes(spec.to_bytes())


def test_the_value_of_a_secret_is_in_no_error_and_not_in_what_is_shown():
    with pytest.raises(InvalidSpec) as raised:
        check_container(ContainerSpec(secrets=(Secret("key", "hush\0", env="KEY"),)))
    assert "hush" not in str(raised.value)
    inner = ContainerSpec(name="a", secrets=(Secret("key", "hush"),))
    assert b"hush" in inner.to_bytes()
    for spec in (inner, ContainerSpec(containers=(inner,)), ContainerSpec(init_steps=(inner,))):
        assert b"hush" not in spec.redacted().to_bytes() and b"***" in spec.redacted().to_bytes()


@pytest.mark.parametrize(
    ("attribute", "operator", "values", "matching"),
    [
        ("zone", "==", ("a",), {"one"}),
        ("zone", "!=", ("a",), {"two", "bare"}),
        ("zone", "in", ("a", "b"), {"one", "two"}),
        ("zone", "not in", ("a", "b"), {"bare"}),
        ("zone", "=~", ("a|b",), {"one", "two"}),
        ("zone", "=~", ("",), set()),
        ("zone", "!~", ("a",), {"two", "bare"}),
        ("host", "==", ("bare",), {"bare"}),
        ("host", "=~", (".*o.*",), {"one", "two"}),
    ],
)
def test_constraints(attribute, operator, values, matching):
    hosts = {"one": {"zone": "a"}, "two": {"zone": "b"}, "bare": {}}
    constraint = check_constraint(Constraint(attribute, operator, values))
    assert {name for name, attributes in hosts.items() if constraint.matches(name, attributes)} == matching


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Constraint("zone", "is", ("a",)), "constraint zone is a: 'is' is not one of ==, !=, in, not in, =~, !~"),
        (Constraint("zone", "is", ()), "constraint zone is "),
        (Constraint("zone", "==", ()), "constraint on 'zone': == takes exactly one value"),
        (Constraint("zone", "==", ("a", "b")), "constraint on 'zone': == takes exactly one value"),
        (Constraint("zone", "in", ()), "constraint on 'zone': in takes at least one value"),
        (Constraint("zone", "=~", ("(",)), "constraint zone =~ (: not a regular expression: "),
        (Constraint("zone", "=~", ("a{99999999999}",)), "constraint zone =~ a{99999999999}: not a regular expression"),
        (Constraint("zone", "=~", ("(" * 5000,)), "constraint zone =~ (((("),
    ],
)
def test_a_wrong_constraint_is_refused(constraint, message):
    with pytest.raises(InvalidInput) as raised:
        check_constraint(constraint)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("record", [ContainerSpec, Probe])
def test_the_reference_names_every_field(record):
    text = (Path(__file__).parents[2] / "docs" / "CONTAINERS.md").read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert set(record.__dataclass_fields__) <= described
    assert described <= {*ContainerSpec.__dataclass_fields__, *Probe.__dataclass_fields__, "privileged", "none"}
