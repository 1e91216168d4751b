"""A host of a simulation: the executor's own lifecycle and its fake runtime, on a stream that can break."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from executor.fake import FakeRuntime
from executor.health import Check
from executor.lifecycle import Lifecycle
from executor.records import NEVER, Event, Operation, Outcome
from executor.spec import Host
from offerer.core import events as e
from offerer.core import outputs as o
from offerer.ids import HostId
from offerer.resources import Resources
from offerer.sim.master import SimMaster
from offerer.sim.network import RETRY, Network, Stream
from offerer.sim.world import Timer, World
from offerer.types import Time

_MOST_STATUSES = 10_000  # of one message


class SimHost:
    """Up or down. What runs on it ends when it crashes, and does not when it merely is out of reach."""

    def __init__(
        self,
        world: World,
        network: Network,
        master: SimMaster,
        name: str,
        total: Resources,
        attributes: Mapping[str, str],
    ) -> None:
        self.id = HostId(name)
        self.name = name
        self.total = total
        self.attributes = attributes
        self.up = False
        self._world = world
        self._network = network
        self._master = master
        self._stream: Stream | None = None
        self._registered = False
        self._carrying_out = False
        self._sending = False
        self._timer: Timer | None = None
        self._timer_at: Time = NEVER

    def start(self) -> None:
        """Switch it on, with nothing running."""
        self.up = True
        incarnation = self._world.dice.randbytes(8)
        self.lifecycle = Lifecycle(self.id, incarnation, creates=FakeRuntime.creates)
        self.runtime = FakeRuntime(self._world.call_later)
        _at_once(self.runtime.open(Host(self.id, self.name), self._on_event))
        self._connect()

    def crash(self) -> None:
        """Everything on it ends without a word."""
        self.up = False
        stream, self._stream = self._stream, None
        _at_once(self.runtime.close())
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, NEVER
        if stream is not None:
            stream.close()

    # -- the connection ----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self.up or self._stream is not None:
            return
        stream = Stream(
            self._network,
            self.name,
            lambda event: self._master.on_host(stream, event),
            lambda output: self._receive(output) if self._stream is stream else None,
            lambda: self._on_broken(stream),
        )
        if not self._network.connect(stream):
            self._world.call_at(self._world.now + RETRY, self._connect)
            return
        self._stream = stream
        self._registered = False
        self.lifecycle.statuses.reconnected()
        stream.up(self._registration())

    def _on_broken(self, stream: Stream) -> None:
        self._master.host_left(self.id, stream)
        if self._stream is stream:
            self._stream = None
            self._world.call_at(self._world.now + self._world.dice.randrange(RETRY), self._connect)

    def _registration(self) -> e.HostRegistered:
        lifecycle = self.lifecycle
        tasks = [e.HeldTask(task.framework_id, task.resources, lifecycle.latest(task)) for task in lifecycle.held()]
        return e.HostRegistered(self.id, self.name, "", self.attributes, self.total, tasks, "fake")

    def _receive(self, output: o.Output) -> None:
        now, lifecycle = self._world.now, self.lifecycle
        if type(output) is o.LaunchTasks:
            for task in output.tasks:
                lifecycle.on_launch(now, output.framework_id, task)
        elif type(output) is o.AcknowledgeStatuses:
            for uuid in output.uuids:
                lifecycle.on_acknowledged(uuid)
        elif type(output) is o.KillTask:
            lifecycle.on_kill(now, output.framework_id, output.task_id, output.grace)
        elif type(output) is o.ConfirmHost:
            self._registered = True
        self._settle()

    # -- the runtime -------------------------------------------------------------------------------------------------

    def _on_done(self, operation: Operation, outcome: Outcome) -> None:
        self.lifecycle.on_done(self._world.now, operation, outcome)
        self._settle()

    def _on_answered(self, check: Check, problem: str) -> None:
        self.lifecycle.on_answered(self._world.now, check, problem)
        self._settle()

    def _on_event(self, event: Event) -> None:
        self.lifecycle.on_event(self._world.now, event)
        self._settle()

    def _settle(self) -> None:
        """Carry out what the lifecycle wants, and ask what it asks."""
        if self._carrying_out:  # the runtime completed an operation or answered at once: the loop below goes on
            return
        lifecycle = self.lifecycle
        lifecycle.marks.clear()  # for restarts of an executor whose tasks outlive it, which these do not
        self._carrying_out = True
        while lifecycle.operations or lifecycle.questions:
            if lifecycle.operations:
                self.runtime.submit(lifecycle.operations.popleft(), self._on_done)
            else:
                check = lifecycle.questions.popleft()
                self.runtime.probe(check, partial(self._on_answered, check))
        self._carrying_out = False
        if lifecycle.statuses.ready and not self._sending:
            self._sending = True  # at the end of this instant, so that what happens at once is one message
            self._world.call_at(self._world.now, self._send)
        self._set_timer()

    def _send(self) -> None:
        self._sending = False
        if self._stream is not None and self._registered:
            sent = self.lifecycle.statuses.take(self._world.now, _MOST_STATUSES)
            self._stream.up(
                e.TaskStatusesReported(self.id, [(entry.task.framework_id, entry.status) for entry in sent])
            )

    def _set_timer(self) -> None:
        at = self.lifecycle.next_deadline()
        if at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._world.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self.lifecycle.on_time(self._world.now)
        self._settle()


def _at_once(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine of the fake runtime, which waits for nothing, so that one step is all of it."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the fake runtime waited")
