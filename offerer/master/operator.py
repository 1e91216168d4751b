"""What operators ask: the state of the cluster, roles, events, a framework's own API, logs. Never on the hot path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio

from offerer import __version__
from offerer.allocator import Claimant
from offerer.core import events as e
from offerer.core import hosts as core_hosts
from offerer.core.state import Framework, Host, State
from offerer.errors import InvalidInput, OffererError, PeerError, Unavailable
from offerer.ids import FrameworkId, Role, TaskId, check_name
from offerer.master.attachments import Attachments
from offerer.master.loop import Loop
from offerer.resources import Resources
from offerer.types import SECOND, Availability
from offerer.wire import codec
from offerer.wire.rpc_errors import abort

Context = grpc.aio.ServicerContext[Any, Any]
operator = codec.operator
_CALL_TIMEOUT = 30 * SECOND
_AVAILABILITIES = {each.value: each for each in Availability}


class OperatorService(codec.OperatorServicer):
    """Serves the Operator API."""

    def __init__(self, loop: Loop, attachments: Attachments) -> None:
        self._loop = loop
        self._attachments = attachments

    async def GetState(self, request: operator.GetStateRequest, context: Context) -> operator.State:
        """The parts of the cluster's state that are asked for."""
        state = self._loop.cluster.state
        answer = operator.State(term=state.term, version=__version__, recovering=bool(state.recovering))
        for host in state.hosts.values() if request.hosts else ():
            _write_host(host, answer)
        if request.frameworks:
            _write_frameworks(state, answer)
        if request.roles:
            _write_roles(state, answer)
        if request.offers:
            _write_offers(state, answer)
        if request.tasks:
            _write_tasks(state, answer)
        return answer

    async def SetRole(self, request: operator.SetRoleRequest, context: Context) -> operator.RoleState:
        """Weight and quota of a role."""
        try:
            self._loop.feed(_read_role(request))
        except OffererError as error:
            await abort(context, error)
        answer = operator.State()
        _write_roles(self._loop.cluster.state, answer)
        return next(role for role in answer.roles if role.role == request.role)

    async def RemoveHost(self, request: operator.RemoveHostRequest, context: Context) -> operator.RemoveHostResponse:
        """Forget a host for good."""
        try:
            host_id = core_hosts.find_host(self._loop.cluster.state, request.host)
            self._loop.feed(e.HostRemoved(host_id))
        except PeerError as error:
            await abort(context, InvalidInput(str(error)))
        except OffererError as error:
            await abort(context, error)
        return operator.RemoveHostResponse()

    async def SetAvailability(
        self, request: operator.SetAvailabilityRequest, context: Context
    ) -> operator.HostState:
        """Whether a host may be used, or is to be emptied."""
        state = self._loop.cluster.state
        try:
            availability = _AVAILABILITIES.get(request.availability)
            if availability is None:
                listed = ", ".join(_AVAILABILITIES)
                raise InvalidInput(f"availability: {request.availability!r} is none of {listed}")
            host_id = core_hosts.find_host(state, request.host)
            self._loop.feed(e.HostAvailabilitySet(host_id, availability))
        except OffererError as error:
            await abort(context, error)
        answer = operator.State()
        _write_host(state.hosts[host_id], answer)
        return answer.hosts[0]

    async def KillTask(self, request: operator.KillTaskRequest, context: Context) -> operator.KillTaskResponse:
        """Stop a task of any framework."""
        grace = max(0, request.grace) if request.HasField("grace") else None
        try:
            self._loop.feed(e.KillOrdered(FrameworkId(request.framework_id), TaskId(request.task_id), grace))
        except OffererError as error:
            await abort(context, error)
        return operator.KillTaskResponse()

    async def WatchEvents(
        self, request: operator.WatchEventsRequest, context: Context
    ) -> AsyncIterator[operator.Events]:
        """What happened after an event, and what happens."""
        if not request.follow:
            yield _events(list(self._loop.journal.after(request.after)))
            return
        async for entries in self._loop.journal.follow(request.after):
            yield _events(entries)

    async def Call(self, request: operator.CallRequest, context: Context) -> operator.CallResponse:
        """A framework's own API."""
        try:
            peer = self._loop.frameworks.get(FrameworkId(request.framework_id))
            if peer is None:
                connected = ", ".join(sorted(self._loop.frameworks)) or "none"
                raise Unavailable(f"framework {request.framework_id!r} is not connected (connected: {connected})")
            timeout = request.timeout or _CALL_TIMEOUT
            return operator.CallResponse(answer=await peer.call(request.method, request.arguments, timeout))
        except OffererError as error:
            await abort(context, error)

    async def Logs(self, request: operator.TaskLogsRequest, context: Context) -> AsyncIterator[operator.LogChunks]:
        """The output of a task's container."""
        wanted = codec.executor.OpenAttachment(logs=request.options)
        try:
            async for message in self._attachments.open(request.task, wanted):
                if message.chunks:
                    yield operator.LogChunks(chunks=message.chunks)
        except OffererError as error:
            await abort(context, error)

    async def Inspect(self, request: operator.TaskRequest, context: Context) -> operator.InspectResponse:
        """What the runtime says of a task's container."""
        wanted = codec.executor.OpenAttachment(inspect=codec.executor.InspectRequest())
        try:
            chunks = [
                chunk.data
                async for message in self._attachments.open(request, wanted)
                for chunk in message.chunks
            ]
        except OffererError as error:
            await abort(context, error)
        return operator.InspectResponse(json=b"".join(chunks))

    async def Attach(self, _requests: object, context: Context) -> None:
        """A command in a task's container, files to or from it, or what it uses; inputs are passed on."""
        first = await context.read()
        if first is grpc.aio.EOF:
            return
        try:
            async for message in self._attachments.open(first.task, _wanted(first), _inputs(context)):
                if message.HasField("exit_code"):
                    await context.write(operator.AttachResponse(exit_code=message.exit_code))
                elif message.chunks:
                    await context.write(operator.AttachResponse(chunks=message.chunks))
        except OffererError as error:
            await abort(context, error)


def _wanted(request: operator.AttachRequest) -> codec.executor.OpenAttachment:
    for kind in ("exec", "copy", "top"):
        if request.HasField(kind):
            return codec.executor.OpenAttachment(**{kind: getattr(request, kind)})
    raise InvalidInput("the first message of an attachment must say what is wanted: exec, copy or top")


async def _inputs(context: Context) -> AsyncIterator[codec.executor.ToAttachment]:
    while (message := await context.read()) is not grpc.aio.EOF:
        if message.HasField("input"):
            yield message.input


def _events(entries: list[Any]) -> operator.Events:
    return operator.Events(
        events=[operator.Event(id=each.id, at=each.at, kind=each.kind, fields=each.fields) for each in entries]
    )


def _read_role(request: operator.SetRoleRequest) -> e.RoleConfigured:
    role = Role(check_name("role", request.role))
    weight = request.weight_milli if request.HasField("weight_milli") else None
    guarantee = dict(request.guarantee.amounts) if request.HasField("guarantee") else None
    limit = dict(request.limit.amounts) if request.HasField("limit") else None
    return e.RoleConfigured(role, weight, guarantee, limit)


def _write_host(host: Host, into: operator.State) -> None:
    added = into.hosts.add(
        host_id=host.id,
        name=host.name,
        address=host.address,
        state=host.state.value,
        attributes=host.attributes,
        tasks=sum(not task.state.terminal for task in host.tasks.values()),
        runtime=host.runtime,
        software=host.software,
        availability=host.availability.value,
    )
    codec.write_resources(added.total, host.total)
    allocated = offered = Resources()
    for task in host.tasks.values():
        if task.claimant is not None:
            allocated = allocated + task.resources
    for offer in host.offers.values():
        offered = offered + offer.grant.amount
    codec.write_resources(added.allocated, allocated)
    codec.write_resources(added.offered, offered)


def _write_frameworks(state: State, into: operator.State) -> None:
    for framework in state.frameworks.values():
        roles = list(framework.claimants)
        offered = Resources()
        for offer in framework.offers.values():
            offered = offered + offer.grant.amount.without_ports()
        added = into.frameworks.add(
            framework_id=framework.id,
            role=",".join(roles),
            connected=framework.connected,
            suppressed=bool(framework.suppressed),
            tasks=sum(not task.state.terminal for task in framework.tasks.values()),
            offers=len(framework.offers),
            dominant_share=max((_share(claimant) for claimant in framework.claimants.values()), default=0.0),
            demand=_demand(framework),
        )
        codec.write_resources(added.allocated, framework.used - offered)
        codec.write_resources(added.offered, offered)


def _share(claimant: Claimant) -> float:
    return claimant.role.claimants.share(claimant)


def _demand(framework: Framework) -> str:
    """What it waits for, for people."""
    demands = [each.demand for each in framework.claimants.values() if each.demand is not None]
    if not demands:
        return "everything" if framework.connected and not framework.suppressed else ""
    wants = [state.want for demand in demands for state in demand.wants]
    words = [
        f"{want.count} × {want.resources}" + "".join(f", {constraint}" for constraint in want.constraints)
        for want in wants
    ]
    return "; ".join(words) or "nothing"


def _write_roles(state: State, into: operator.State) -> None:
    for role in state.allocator.roles.clients.values():
        added = into.roles.add(
            role=role.name,
            weight_milli=role.weight,
            dominant_share=state.allocator.roles.share(role),
            frameworks=sorted(role.claimants.clients),
        )
        codec.write_resources(added.guarantee, _as_resources(role.guarantee))
        codec.write_resources(added.allocated, role.used)
        if role.limit:
            added.limit.amounts.update(role.limit)


def _as_resources(amounts: Mapping[str, int]) -> Resources:
    left = dict(amounts)
    cpus, memory, disk, gpus = (left.pop(name, 0) for name in ("cpus", "memory", "disk", "gpus"))
    return Resources(cpus, memory, disk, gpus, tuple(sorted(left.items())))


def _write_offers(state: State, into: operator.State) -> None:
    for offer in state.offers.values():
        added = into.offers.add(
            id=offer.id,
            host_id=offer.host.id,
            host=offer.host.name,
            framework_id=offer.framework.id,
            role=offer.grant.claimant.role.name,
            since=offer.since,
            until=offer.until,
        )
        codec.write_resources(added.resources, offer.grant.amount)


def _write_tasks(state: State, into: operator.State) -> None:
    for framework in state.frameworks.values():
        for task in framework.tasks.values():
            added = into.tasks.add(framework_id=framework.id, host=task.host.name if task.host is not None else "")
            codec.write_status(added.status, task.status)
            codec.write_resources(added.resources, task.resources)
