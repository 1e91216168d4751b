"""Container specs and constraints: what is wrong with them is said in one sentence."""

import json

import pytest

from offerer import Constraint, ContainerSpec, PortMapping
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
        (b'{"ports": [1]}', "spec: "),
        (b'{"ports": [{"container": 80}]}', "spec: "),
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
