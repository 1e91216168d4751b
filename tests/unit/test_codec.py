"""The records survive the journey over the wire, and what is no record is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offerer import Constraint, Demand, Offer, Reason, Resources, TaskInfo, TaskState, TaskStatus, Want
from offerer.errors import PeerError
from offerer.resources import merge_ranges
from offerer.wire import codec
from offerer.wire.codec import common, framework

AMOUNT = st.integers(0, (1 << 62) - 1)
text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=10)
word = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=10)
ports = st.lists(st.tuples(st.integers(1, 100), st.integers(100, 65535)), max_size=3).map(merge_ranges)
counts = st.dictionaries(st.sampled_from(["licences", "fpga"]), st.integers(1, 9))
resources = st.builds(
    lambda cpus, memory, disk, gpus, named, ranges: Resources(
        cpus, memory, disk, gpus, tuple(sorted(named.items())), ranges
    ),
    AMOUNT, AMOUNT, AMOUNT, AMOUNT, counts, ports,
)  # fmt: skip
statuses = st.builds(
    TaskStatus,
    word,
    st.sampled_from(TaskState),
    text,
    st.sampled_from(Reason),
    text,
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**62),
    st.binary(max_size=16),
    st.binary(max_size=16),
)
constraints = st.sampled_from([(), (Constraint("zone", "not in", ("a", "b")), Constraint("host", "=~", ("db-.*",)))])
wants = st.builds(Want, resources, st.integers(0, 2**40), constraints, st.integers(0, 2**31))
demands = st.just(Demand(None)) | st.builds(Demand, st.lists(wants, max_size=3).map(tuple), st.integers(1, 99))


def sent(message):
    """The message as the other side gets it."""
    return type(message).FromString(message.SerializeToString())


@given(resources)
def test_resources(amount):
    message = common.Resources()
    codec.write_resources(message, amount)
    assert codec.read_resources(sent(message)) == amount


@given(word, resources, st.binary())
def test_tasks(task_id, amount, spec):
    task, message = TaskInfo(task_id, amount, spec), common.TaskInfo()
    codec.write_task(message, task)
    assert codec.read_task(sent(message)) == task


@given(statuses)
def test_statuses(status):
    message = common.TaskStatus()
    codec.write_status(message, status, "f1")
    assert codec.read_status(sent(message)) == status
    assert codec.read_status(sent(message), "h9") == status._replace(host_id="h9", draining=False)
    assert sent(message).framework_id == "f1"


@given(st.integers(0, 2**64 - 1), word, text, resources, st.dictionaries(text, text, max_size=2), text)
def test_offers(offer_id, host_id, name, amount, attributes, address):
    offer = Offer(offer_id, host_id, name, "role", amount, attributes, address)
    message = framework.Offer()
    codec.write_offer(message, offer, with_host=True)
    host = sent(message).host
    assert codec.read_offer(sent(message), host.name, host.address, dict(host.attributes)) == offer


def test_a_host_is_described_once():
    message = framework.Offer()
    codec.write_offer(message, Offer(1, "h1", "db-1", "role", Resources(), {"zone": "a"}), with_host=False)
    assert not message.HasField("host")
    assert codec.read_offer(sent(message), "db-1", "10.0.0.1", {"zone": "a"}).address == "10.0.0.1"


@given(demands)
def test_demands(demand):
    message = framework.Demand()
    codec.write_demand(message, demand)
    assert codec.read_demand(sent(message)) == demand


def test_the_numbers_of_the_wire_are_those_of_the_records():
    states = common.TaskState.items()
    assert {name: number for name, number in states if number} == {each.name: int(each) for each in TaskState}
    assert dict(common.Reason.items()) == {each.name: int(each) for each in Reason}


def test_a_reason_of_a_newer_release_is_no_reason():
    message = common.TaskStatus(task_id="t1", state=3, reason=99)
    assert codec.read_status(message).reason is Reason.NONE


def test_unsorted_overlapping_ports_are_put_in_order_and_empty_counts_left_out():
    message = common.Resources(counts={"b": 1, "a": 0})
    for first, last in ((90, 99), (80, 95)):
        message.ports.add(first=first, last=last)
    assert codec.read_resources(message) == Resources(counts=(("b", 1),), ports=((80, 99),))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (common.Resources(cpus=1 << 62), "resources: an amount is out of range: cpus="),
        (common.Resources(memory=(1 << 64) - 1), "resources: an amount is out of range: memory="),
        (common.Resources(disk=1 << 63), "resources: an amount is out of range: disk="),
        (common.Resources(gpus=1 << 62), "resources: an amount is out of range: gpus="),
        (common.Resources(counts={"x": 1 << 62}), "resources: a count is out of range: {'x': "),
        (common.Resources(counts={"cpus": 1}), "resources: 'cpus' is not a name for a count"),
        (common.Resources(counts={"": 1}), "resources: '' is not a name for a count"),
        (
            common.Resources(ports=[common.PortRange(first=0, last=1)]),
            "resources: 0-1 is not a range of ports within 1-65535",
        ),
        (
            common.Resources(ports=[common.PortRange(first=9, last=8)]),
            "resources: 9-8 is not a range of ports within 1-65535",
        ),
        (
            common.Resources(ports=[common.PortRange(first=1, last=65536)]),
            "resources: 1-65536 is not a range of ports within 1-65535",
        ),
    ],
)
def test_wrong_resources_are_refused(message, error):
    with pytest.raises(PeerError) as raised:
        codec.read_resources(message)
    assert str(raised.value).startswith(error)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (common.TaskStatus(task_id="t1"), "status of task 't1': 0 is not a task state we know"),
        (common.TaskStatus(task_id="t1", state=99), "status of task 't1': 99 is not a task state we know"),
        (common.TaskStatus(state=3), "status of task ''"),
    ],
)
def test_wrong_statuses_are_refused(message, error):
    with pytest.raises(PeerError) as raised:
        codec.read_status(message)
    assert str(raised.value).startswith(error)


def test_a_task_without_an_id_is_refused():
    with pytest.raises(PeerError, match="^task: it has no id$"):
        codec.read_task(common.TaskInfo())


def test_a_wrong_constraint_in_a_demand_is_refused():
    message = framework.Demand()
    message.wants.add(count=1).constraints.add(attribute="zone", operator="is", values=[])
    with pytest.raises(PeerError, match="^demand: constraint zone is : 'is' is not one of"):
        codec.read_demand(message)
