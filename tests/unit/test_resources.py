"""Resources as people write and read them. The laws of their arithmetic are in tests/property/test_vocabulary.py."""

import pytest

from offerer import Resources
from offerer.errors import InvalidInput
from offerer.resources import GIB, MIB, NOTHING


def test_what_a_person_writes():
    written = Resources.parse("cpus=8; memory=32GiB;disk=1TiB;ports=31000-32000,80;gpus=2;licences=3")
    assert written == Resources(8000, 32 * GIB, 1 << 40, 2, (("licences", 3),), ((80, 80), (31000, 32000)))
    assert str(written) == "cpus=8;memory=32GiB;disk=1TiB;gpus=2;licences=3;ports=80,31000-32000"
    assert written == Resources.of(
        cpus=8, memory="32 GiB", disk="1TiB", gpus=2, counts={"licences": 3}, ports=[(31000, 32000), (80, 80)]
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 * MIB), ("1.5 GiB", 1536 * MIB), ("10G", 10**10), ("2k", 2000), ("7", 7), ("7B", 7), (7, 7)],
)
def test_sizes(text, size):
    assert Resources.of(memory=text).memory == size


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (NOTHING, "nothing"),
        (Resources(cpus=1), "cpus=0.001"),
        (Resources(cpus=10_000), "cpus=10"),
        (Resources(memory=1023), "memory=1023B"),
        (Resources(memory=1536 * MIB), "memory=1.5GiB"),
        (Resources(ports=((80, 80),)), "ports=80"),
    ],
)
def test_shown_in_the_largest_unit(amount, shown):
    assert str(amount) == shown
    assert repr(amount) == f"Resources({shown!r})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpus", "resources: 'cpus' is not NAME=AMOUNT, for example cpus=8"),
        ("cpus=", "resources: 'cpus=' is not NAME=AMOUNT, for example cpus=8"),
        ("cpus=1;cpus=2", "resources: 'cpus' is given twice; give it once"),
        ("cpus=lots", "cpus: 'lots' is not a number, for example 0.5 or 8"),
        ("cpus=-1", "cpus: -1.0 must be 0 or more, in steps of 0.001"),
        ("cpus=nan", "cpus: nan must be 0 or more, in steps of 0.001"),
        ("cpus=inf", "cpus: inf must be 0 or more, in steps of 0.001"),
        ("cpus=0.0001", "cpus: 0.0001 must be 0 or more, in steps of 0.001"),
        ("memory=lots", "memory: 'lots' is not a size; write for example 512MiB or 2GiB"),
        ("memory=-1", "memory: '-1' is not a size; write for example 512MiB or 2GiB"),
        ("memory=1.5", "memory: '1.5' is not a size; write for example 512MiB or 2GiB"),
        ("disk=1XiB", "disk: '1XiB' is not a size; write for example 512MiB or 2GiB"),
        ("gpus=0.5", "gpus: '0.5' must be a whole number, 0 or more"),
        ("gpus=-1", "gpus: '-1' must be a whole number, 0 or more"),
        ("ports=a", "ports: 'a' is not a port or a range, for example 31000-32000"),
        ("ports=0", "ports: 0-0 is not a port or a range within 1-65535, for example 31000-32000"),
        ("ports=20-10", "ports: 20-10 is not a port or a range within 1-65535, for example 31000-32000"),
        ("ports=65536", "ports: 65536-65536 is not a port or a range within 1-65535, for example 31000-32000"),
        ("mem=1GiB", "resources: 'mem' is not a name for a count; write memory"),
        ("mem=1", "resources: 'mem' is not a name for a count; write memory"),
        ("cpu=1", "resources: 'cpu' is not a name for a count; write cpus"),
        ("GPU=1", "resources: 'GPU' is not a name for a count; use lower-case letters, digits, '_', '.', '-'"),
    ],
)
def test_what_is_wrong_is_said_with_field_value_and_fix(text, message):
    with pytest.raises(InvalidInput) as raised:
        Resources.parse(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpus": "2"}, "cpus: '2' is not a number, for example 0.5 or 8"),
        ({"cpus": None}, "cpus: None is not a number, for example 0.5 or 8"),
        ({"memory": -1}, "memory: -1 must not be negative"),
        ({"memory": True}, "memory: True is not a size; write for example 512MiB or 2GiB"),
        ({"gpus": 1.0}, "gpus: 1.0 must be a whole number, 0 or more"),
        ({"ports": [(80, 70)]}, "ports: 80-70 is not a port or a range within 1-65535, for example 31000-32000"),
        (
            {"counts": {"a\n": 1}},
            "resources: 'a\\n' is not a name for a count; use lower-case letters, digits, '_', '.', '-'",
        ),
    ],
)
def test_the_same_for_what_a_program_passes(fields, message):
    with pytest.raises(InvalidInput) as raised:
        Resources.of(**fields)
    assert str(raised.value) == message


def test_a_ledger_never_goes_below_zero():
    have = Resources.parse("cpus=1;memory=1GiB;licences=1;ports=80-90")
    for more in ("cpus=2", "memory=2GiB", "disk=1", "gpus=1", "licences=2", "fpga=1", "ports=85-95"):
        with pytest.raises(ValueError, match="not contained in"):
            have - Resources.parse(more)
    assert have - Resources.parse("licences=1;ports=84-86") == Resources.parse("cpus=1;memory=1GiB;ports=80-83,87-90")


def test_equal_only_to_resources():
    assert Resources(cpus=1) != "cpus=0.001"
    assert Resources(cpus=1) == Resources(cpus=1)
