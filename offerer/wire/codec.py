"""Between the records of `offerer.types` and the messages of ``proto/``: the only module that imports the stubs.

Decoding raises `PeerError` for anything that is not a legal record. Message classes, service stubs and servicer
bases are re-exported here for the shells that open and serve streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from offerer.constraints import Constraint, check_constraint
from offerer.errors import InvalidInput, PeerError
from offerer.framework import Demand, Want
from offerer.ids import HostId, OfferId, Role, TaskId
from offerer.resources import Resources, checked_name, merge_ranges
from offerer.task_states import TaskState
from offerer.types import Offer, Reason, TaskInfo, TaskStatus
from offerer.wire.v1 import common_pb2 as common
from offerer.wire.v1 import executor_pb2 as executor
from offerer.wire.v1 import framework_pb2 as framework
from offerer.wire.v1 import operator_pb2 as operator
from offerer.wire.v1.executor_pb2_grpc import (
    ExecutorsServicer,
    ExecutorsStub,
    add_ExecutorsServicer_to_server,
)
from offerer.wire.v1.framework_pb2_grpc import (
    FrameworksServicer,
    FrameworksStub,
    add_FrameworksServicer_to_server,
)
from offerer.wire.v1.operator_pb2_grpc import (
    OperatorServicer,
    OperatorStub,
    StoreServicer,
    StoreStub,
    add_OperatorServicer_to_server,
    add_StoreServicer_to_server,
)

__all__ = [
    "MAX_MESSAGE",
    "PROTOCOL_VERSION",
    "ExecutorsServicer",
    "ExecutorsStub",
    "FrameworksServicer",
    "FrameworksStub",
    "OperatorServicer",
    "OperatorStub",
    "StoreServicer",
    "StoreStub",
    "add_ExecutorsServicer_to_server",
    "add_FrameworksServicer_to_server",
    "add_OperatorServicer_to_server",
    "add_StoreServicer_to_server",
    "common",
    "executor",
    "framework",
    "operator",
]

PROTOCOL_VERSION = 1
MAX_MESSAGE = 16 << 20
"""Bytes of one message. A peer that sends more is cut off; senders split their batches well below."""

_LARGEST_AMOUNT = 1 << 62
_STATES = {int(state): state for state in TaskState}
_REASONS = {int(reason): reason for reason in Reason}
_NO_REASON = Reason.NONE  # a member of an enumeration takes longer to find than a global name


# -- resources ------------------------------------------------------------------------------------------------


def write_resources(into: common.Resources, resources: Resources) -> None:
    """Fill a message with these amounts."""
    if resources.cpus:
        into.cpus = resources.cpus
    if resources.memory:
        into.memory = resources.memory
    if resources.disk:
        into.disk = resources.disk
    if resources.gpus:
        into.gpus = resources.gpus
    for name, n in resources.counts:
        into.counts[name] = n
    for first, last in resources.ports:
        into.ports.add(first=first, last=last)


def read_resources(message: common.Resources) -> Resources:
    """The amounts of a message. Raises `PeerError` for amounts and ports that cannot be."""
    resources = Resources(message.cpus, message.memory, message.disk, message.gpus)
    if message.cpus | message.memory | message.disk | message.gpus >= _LARGEST_AMOUNT:
        raise PeerError(f"resources: an amount is out of range: {resources}")
    if message.ports:
        resources.ports = _read_ports(message.ports)
    if message.counts:
        if max(message.counts.values()) >= _LARGEST_AMOUNT:
            raise PeerError(f"resources: a count is out of range: {dict(message.counts)}")
        try:
            resources.counts = tuple(sorted((checked_name(name), n) for name, n in message.counts.items() if n))
        except InvalidInput as error:
            raise PeerError(str(error)) from None
    return resources


@lru_cache(4096)
def _read_alike(resources: bytes) -> Resources:
    """Tasks of one kind, by the thousand, want the same: read once, and one object for all of them."""
    return read_resources(common.Resources.FromString(resources))


def _read_ports(ranges: Iterable[common.PortRange]) -> tuple[tuple[int, int], ...]:
    ports = [(each.first, each.last) for each in ranges]
    for first, last in ports:
        if not 1 <= first <= last <= 65535:
            raise PeerError(f"resources: {first}-{last} is not a range of ports within 1-65535")
    return merge_ranges(ports)


# -- tasks ----------------------------------------------------------------------------------------------------


def write_task(into: common.TaskInfo, task: TaskInfo) -> None:
    """Fill a message with a task to launch."""
    into.task_id = task.task_id
    into.spec = task.spec
    write_resources(into.resources, task.resources)


def read_task(message: common.TaskInfo) -> TaskInfo:
    """The task of a message. Raises `PeerError` where nothing could be answered about it."""
    if not message.task_id:
        raise PeerError("task: it has no id")
    return TaskInfo(TaskId(message.task_id), _read_alike(message.resources.SerializeToString()), message.spec)


def write_status(into: common.TaskStatus, status: TaskStatus, framework_id: str = "") -> None:
    """Fill a message with a status; the framework's id only between executor and master."""
    into.task_id = status.task_id
    into.state = int(status.state)  # type: ignore[assignment]
    into.host_id = status.host_id
    into.at = status.at
    into.uuid = status.uuid
    if status.reason:
        into.reason = int(status.reason)  # type: ignore[assignment]
    if status.message:
        into.message = status.message
    if status.exit_code is not None:
        into.exit_code = status.exit_code
    if status.data:
        into.data = status.data
    if status.healthy is not None:
        into.healthy = status.healthy
    if status.draining:
        into.draining = True
    if framework_id:
        into.framework_id = framework_id


def read_status(message: common.TaskStatus, host_id: HostId | None = None) -> TaskStatus:
    """The status of a message (from that host). Raises `PeerError` where the state is none we know."""
    state = _STATES.get(message.state)
    if state is None or not message.task_id:
        raise PeerError(f"status of task {message.task_id!r}: {message.state} is not a task state we know")
    return TaskStatus(
        TaskId(message.task_id),
        state,
        HostId(message.host_id) if host_id is None else host_id,
        _REASONS.get(message.reason, _NO_REASON),
        message.message,
        message.exit_code if message.HasField("exit_code") else None,
        message.at,
        message.uuid,
        message.data,
        message.healthy if message.HasField("healthy") else None,
        host_id is None and message.draining,
    )


# -- offers and demand ----------------------------------------------------------------------------------------


def write_offer(into: framework.Offer, offer: Offer, *, with_host: bool) -> None:
    """Fill a message with an offer; name, address and attributes only where the peer does not know them yet."""
    into.id = offer.id
    into.host_id = offer.host_id
    into.role = offer.role
    write_resources(into.resources, offer.resources)
    if with_host:
        into.host.name = offer.host
        into.host.address = offer.address
        into.host.attributes.update(offer.attributes)


def read_offer(message: framework.Offer, name: str, address: str, attributes: Mapping[str, str]) -> Offer:
    """The offer of a message, with what is known of its host."""
    return Offer(
        OfferId(message.id),
        HostId(message.host_id),
        name,
        Role(message.role),
        read_resources(message.resources),
        attributes,
        address,
    )


def write_demand(into: framework.Demand, demand: Demand) -> None:
    """Fill a message with what a framework waits for."""
    into.everything = demand.wants is None
    into.choice = demand.choice
    for want in demand.wants or ():
        added = into.wants.add(count=want.count, per_host=want.per_host)
        write_resources(added.resources, want.resources)
        for constraint in want.constraints:
            added.constraints.add(
                attribute=constraint.attribute, operator=constraint.operator, values=constraint.values
            )


def read_demand(message: framework.Demand) -> Demand:
    """What a framework says it waits for. Raises `PeerError` for a constraint that cannot be."""
    if message.everything:
        return Demand(None)
    return Demand(tuple(_read_want(want) for want in message.wants), max(1, message.choice))


def _read_want(message: framework.Want) -> Want:
    try:
        constraints = tuple(
            check_constraint(Constraint(each.attribute, each.operator, tuple(each.values)))
            for each in message.constraints
        )
    except InvalidInput as error:
        raise PeerError(f"demand: {error}") from None
    return Want(read_resources(message.resources), message.count, constraints, message.per_host)
