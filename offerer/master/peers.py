"""The master's view of one connected executor or framework: what the core wants to tell it becomes messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from offerer.errors import OffererError, Unavailable
from offerer.ids import FrameworkId, HostId, OfferId, TaskId
from offerer.wire.outbox import Outbox
from offerer.types import SECOND, Offer, TaskInfo, TaskStatus, Time
from offerer.wire import codec
from offerer.wire.rpc_errors import error_named

_TASK_BYTES = 64  # of a task or status on the wire, besides what varies much
_OFFER_BYTES = 128


class ExecutorPeer:
    """A connected executor."""

    def __init__(self, host_id: HostId, term: int, heartbeat: Time, unreachable_after: Time) -> None:
        self.id = host_id
        self._heartbeat = heartbeat
        self._unreachable_after = unreachable_after
        self.outbox: Outbox[codec.executor.ToExecutor] = Outbox(lambda: codec.executor.ToExecutor(term=term))

    def confirm(self) -> None:
        """The host is registered."""
        registered = self.outbox.message(_TASK_BYTES).registered
        registered.heartbeat = self._heartbeat
        registered.unreachable_after = self._unreachable_after

    def launch(self, framework_id: FrameworkId, tasks: Sequence[TaskInfo]) -> None:
        """Run these tasks."""
        for task in tasks:
            added = self.outbox.message(_TASK_BYTES + len(task.spec)).launches.add()
            added.framework_id = framework_id
            codec.write_task(added.task, task)

    def kill(self, framework_id: FrameworkId, task_id: TaskId, grace: Time | None) -> None:
        """Stop this task."""
        self.outbox.message(_TASK_BYTES).kills.add(framework_id=framework_id, task_id=task_id, grace=grace)

    def acknowledge(self, uuids: Sequence[bytes]) -> None:
        """These statuses need not be sent again; the executor would do so only after ten seconds."""
        self.outbox.message(18 * len(uuids), urgent=False).acks.extend(uuids)

    def attach(self, request: codec.executor.OpenAttachment) -> None:
        """Open a stream of its own for logs or the like."""
        self.outbox.message(_TASK_BYTES).attachments.append(request)


class FrameworkPeer:
    """A connected framework."""

    def __init__(self, framework_id: FrameworkId, term: int, heartbeat: Time) -> None:
        self.id = framework_id
        self._term = term
        self._heartbeat = heartbeat
        self.outbox: Outbox[codec.framework.ToFramework] = Outbox(codec.framework.ToFramework)
        self._hosts_told: dict[HostId, tuple[object, ...]] = {}
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_call = 1

    def confirm(self, tasks: Sequence[TaskStatus]) -> None:
        """The framework is registered, and these are its tasks."""
        registered = self.outbox.message(_TASK_BYTES * len(tasks)).registered
        registered.heartbeat = self._heartbeat
        registered.term = self._term
        for status in tasks:
            codec.write_status(registered.tasks.add(), status)

    def forward(self, statuses: Sequence[TaskStatus]) -> None:
        """What became of tasks."""
        for status in statuses:
            size = _TASK_BYTES + len(status.message) + len(status.data)
            codec.write_status(self.outbox.message(size).statuses.add(), status)

    def offer(self, offers: Sequence[Offer]) -> None:
        """Offers; what is known of a host is told once, and again when it changed."""
        for offer in offers:
            told = (offer.host, offer.address, offer.attributes)
            with_host = self._hosts_told.get(offer.host_id) != told
            if with_host:
                self._hosts_told[offer.host_id] = told
            codec.write_offer(self.outbox.message(_OFFER_BYTES).offers.add(), offer, with_host=with_host)

    def rescind(self, offer_ids: Sequence[OfferId]) -> None:
        """These offers are void."""
        self.outbox.message(9 * len(offer_ids)).rescinded.extend(offer_ids)

    async def call(self, method: str, arguments: bytes, timeout: Time) -> bytes:
        """Relay a question to the framework's own API. Raises what it raises, or `Unavailable`."""
        call_id, self._next_call = self._next_call, self._next_call + 1
        future = self._calls[call_id] = asyncio.get_running_loop().create_future()
        message = self.outbox.message(_TASK_BYTES + len(arguments))
        message.calls.add(id=call_id, method=method, arguments=arguments)
        try:
            return json.dumps(await asyncio.wait_for(future, timeout / SECOND)).encode()
        except TimeoutError:
            raise Unavailable(f"framework {self.id} did not answer {method} within {timeout / SECOND:g} s") from None
        finally:
            self._calls.pop(call_id, None)

    def on_result(self, result: codec.framework.CallResult) -> None:
        """The framework answers a question."""
        future = self._calls.get(result.id)
        if future is None or future.done():
            return
        if result.error:
            future.set_exception(error_named(result.error, result.message))
            return
        try:
            future.set_result(json.loads(result.answer or b"{}"))
        except ValueError:
            future.set_exception(OffererError(f"framework {self.id} answered with what is not JSON"))

    def left(self) -> None:
        """The framework disconnected: nobody will answer any more."""
        for future in self._calls.values():
            if not future.done():
                future.set_exception(Unavailable(f"framework {self.id} disconnected; try again"))
