"""Laws of resources, constraints and container specs."""

from __future__ import annotations

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from offerer import Constraint, ContainerSpec, Mount, PortMapping, Probe, Resources, Secret
from offerer.constraints import check_constraint
from offerer.containers import check_container
from offerer.errors import InvalidInput
from offerer.resources import NOTHING, format_bytes, format_cpus, format_ports, merge_ranges, parse_bytes, parse_ports

SMALL = st.integers(0, 5)
ranges = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair))), max_size=4)
counts = st.dictionaries(st.sampled_from(["licences", "fpga", "x.y-z_1"]), st.integers(1, 5))
resources = st.builds(
    lambda cpus, memory, disk, gpus, named, ports: Resources(
        cpus, memory, disk, gpus, tuple(sorted(named.items())), merge_ranges(ports)
    ),
    SMALL, SMALL, SMALL, SMALL, counts, ranges,
)  # fmt: skip


def ports_of(amount: Resources) -> set[int]:
    return {port for first, last in amount.ports for port in range(first, last + 1)}


def disjoint(a: Resources, b: Resources) -> bool:
    return not ports_of(a) & ports_of(b)


@given(resources, resources, resources)
def test_addition_is_commutative_and_associative_and_nothing_is_its_zero(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + NOTHING == a
    assert ports_of(a + b) == ports_of(a) | ports_of(b)


@given(resources, resources)
def test_what_was_added_can_be_taken_away_again(a, b):
    assume(disjoint(a, b))
    assert (a + b).contains(a) and (a + b).contains(b)
    assert (a + b) - b == a
    assert hash((a + b) - b) == hash(a)


@given(resources, resources)
def test_subtraction_refuses_what_is_not_contained_and_changes_nothing_else(a, b):
    try:
        rest = a - b
    except ValueError as error:
        assert not a.contains(b)
        assert "not contained" in str(error)
    else:
        assert a.contains(b)
        assert rest + b == a
        assert disjoint(rest, b)


@given(resources, resources)
def test_minus_up_to_is_the_difference_where_there_is_one(a, b):
    rest = a.minus_up_to(b)
    assert a.contains(rest)
    assert ports_of(rest) == ports_of(a) - ports_of(b)
    for name in ("cpus", "memory", "disk", "gpus"):
        assert getattr(rest, name) == max(0, getattr(a, name) - getattr(b, name))
    for name, n in a.counts:
        assert rest.count(name) == max(0, n - b.count(name))
    if a.contains(b):
        assert rest == a - b


@given(resources, resources, resources)
def test_containment_is_an_order(a, b, c):
    assert a.contains(a) and a.contains(NOTHING)
    if a.contains(b) and b.contains(a):
        assert a == b
    if a.contains(b) and b.contains(c):
        assert a.contains(c)


@given(resources)
def test_views_agree(a):
    assert a.port_count() == len(ports_of(a))
    assert all(a.has_port(port) == (port in ports_of(a)) for port in range(1, 50))
    assert bool(a) == (a != NOTHING) == (not a.empty)
    assert a.without_ports() + Resources(ports=a.ports) == a
    assert dict(a.scalars()) == {
        name: n
        for name, n in [("cpus", a.cpus), ("memory", a.memory), ("disk", a.disk), ("gpus", a.gpus), *a.counts]
        if n
    }


@given(ranges)
def test_merged_ranges_are_sorted_apart_and_hold_the_same_ports(given_ranges):
    merged = merge_ranges(given_ranges)
    assert list(merged) == sorted(merged)
    assert all(last + 1 < first for (_, last), (first, _) in zip(merged, merged[1:], strict=False))
    assert ports_of(Resources(ports=merged)) == {p for first, last in given_ranges for p in range(first, last + 1)}
    assert parse_ports(format_ports(merged)) == merged


@given(st.integers(0, 10**9), st.integers(0, 1023), st.sampled_from([1, 1 << 10, 1 << 20, 1 << 30, 1 << 40]), resources)
def test_what_is_printed_reads_back(milli, n, unit, a):
    """Exactly for cpus, counts, ports and whole units; sizes between units are rounded to a tenth."""
    assert Resources.of(cpus=float(format_cpus(milli))).cpus == milli
    assert parse_bytes("memory", format_bytes(n * unit)) == n * unit
    assert Resources.parse("" if a == NOTHING else str(a)) == a
    odd = milli * 1_000_003
    assert abs(parse_bytes("memory", format_bytes(odd)) - odd) <= odd * 0.051


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_one_clear_error(text):
    for read in (Resources.parse, parse_ports, lambda each: parse_bytes("memory", each)):
        try:
            read(text)
        except InvalidInput as error:
            assert str(error)


hosts = st.sampled_from(["db-1", "web-1", "web-2"])
attributes = st.dictionaries(st.sampled_from(["zone", "disk"]), st.sampled_from(["a", "b", "ssd"]))
names = st.sampled_from(["zone", "disk", "host"])
values = st.sampled_from(["a", "b", "ssd", "db-1", "web-1"])


@given(names, values, hosts, attributes)
def test_each_operator_has_its_opposite(name, value, host, attrs):
    for yes, no, some in (("==", "!=", (value,)), ("in", "not in", (value, "x")), ("=~", "!~", (value[0] + ".*",))):
        assert Constraint(name, yes, some).matches(host, attrs) != Constraint(name, no, some).matches(host, attrs)
    if name != "host" and name not in attrs:
        assert not Constraint(name, "==", (value,)).matches(host, attrs)


@given(names, st.text(max_size=4), st.lists(st.text(max_size=8), max_size=3))
def test_any_constraint_is_accepted_and_works_or_refused_with_one_clear_error(name, operator, some):
    constraint = Constraint(name, operator, tuple(some))
    try:
        check_constraint(constraint)
    except InvalidInput as error:
        assert str(error)
    else:
        constraint.matches("db-1", {"zone": "a"})
        assert str(constraint)


words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=8)
maps = st.dictionaries(st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z"), words, max_size=3)
port = st.integers(1, 65535)
paths = words.filter(lambda word: ".." not in word).map(lambda word: "/" + word)
probes = st.builds(Probe, st.sampled_from(["", "/healthz"]), port, failures=st.integers(1, 9))
specs = st.builds(
    ContainerSpec,
    image=words,
    command=st.lists(words, max_size=3).map(tuple),
    env=maps,
    ports=st.lists(st.builds(PortMapping, port, port, st.sampled_from(["tcp", "udp"]), words), max_size=2).map(tuple),
    volumes=st.lists(
        st.builds(Mount, st.sampled_from(["/data", "data"]), paths, st.booleans()),
        max_size=2,
        unique_by=lambda mount: mount.target,
    ).map(tuple),
    labels=maps,
    working_dir=st.just("") | paths,
    secrets=st.just(()) | st.tuples(st.builds(Secret, st.sampled_from(["a", "b"]), words)),
    readiness=st.none() | probes,
    liveness=st.none() | probes,
    init_steps=st.just(()) | st.builds(lambda image: (ContainerSpec(name="step", image=image),), words),
    user=words,
    pull=st.sampled_from(["missing", "always", "never"]),
    stop_signal=st.sampled_from(["SIGTERM", "SIGINT"]),
    stop_grace=st.integers(0, 10**12),
)


@given(specs, specs)
def test_a_container_spec_survives_the_journey_and_equal_specs_are_equal_bytes(a, b):
    assert ContainerSpec.from_bytes(a.to_bytes()) == check_container(a)
    assert (a == b) == (a.to_bytes() == b.to_bytes())


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(ContainerSpec.__dataclass_fields__)), json_like, max_size=4))
def test_any_json_is_a_spec_or_refused_with_one_clear_error(raw):
    try:
        spec = ContainerSpec.from_bytes(json.dumps(raw).encode())
    except InvalidInput as error:
        assert str(error)
    else:
        assert ContainerSpec.from_bytes(spec.to_bytes()) == spec


@given(st.binary(max_size=20))
def test_any_bytes_are_a_spec_or_refused_with_one_clear_error(raw):
    try:
        ContainerSpec.from_bytes(raw)
    except InvalidInput as error:
        assert str(error)
