"""Statuses on their way to the master: each is kept, and sent again, until it is acknowledged. Pure.

A status that was not sent yet and is not terminal may be replaced by a later one of its task; what was sent, and
every terminal status, stays until the acknowledgement. Resending backs off from 10 s to 10 min, and starts anew on
every connection. Work per status is a few dictionary operations: groups that were sent together wait together.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from executor.records import NEVER, Task
from offerer.task_states import TaskState
from offerer.types import SECOND, TaskStatus, Time

RESEND_AFTER: Final[tuple[Time, ...]] = tuple(min(10 << n, 600) * SECOND for n in range(7))  # 10, 20, … 600 s
_UNIQUE_BYTES: Final = 8


class Entry:
    """One status of one task, whether anybody can have seen it, and how far its back-off is."""

    __slots__ = ("level", "sent", "status", "task")

    def __init__(self, task: Task, status: TaskStatus) -> None:
        self.task = task
        self.status = status
        self.sent = False
        self.level = 0


class Statuses:
    """The outbox. `incarnation` is eight random bytes of this process: they make the uuids unique for ever."""

    def __init__(self, incarnation: bytes) -> None:
        if len(incarnation) != _UNIQUE_BYTES:
            raise ValueError(f"the incarnation has {len(incarnation)} bytes, it must have {_UNIQUE_BYTES}")
        self._incarnation = incarnation
        self._counter = 0
        self._unacknowledged: dict[bytes, Entry] = {}  # in the order they were reported
        self._queue: dict[bytes, Entry] = {}  # to be sent now, in order
        self._waiting: dict[int, deque[tuple[Time, list[Entry]]]] = {}  # by level of back-off, as far as there are any

    def __len__(self) -> int:
        """How many are not acknowledged."""
        return len(self._unacknowledged)

    @property
    def ready(self) -> bool:
        """Whether there is something to send now."""
        return bool(self._queue)

    def next_uuid(self) -> bytes:
        """Sixteen bytes that no other status has."""
        self._counter += 1
        return self._incarnation + self._counter.to_bytes(_UNIQUE_BYTES, "big")

    def add(self, task: Task, status: TaskStatus) -> Entry:
        """Queue a status of this task behind those it already has, replacing one that nobody can have seen."""
        before = task.entry
        if before is not None and not before.sent and before.status.state < TaskState.FINISHED:
            self._queue.pop(before.status.uuid, None)
            self._unacknowledged.pop(before.status.uuid, None)
        entry = Entry(task, status)
        task.entry = entry
        self._unacknowledged[status.uuid] = entry
        self._queue[status.uuid] = entry
        return entry

    def pending(self, entry: Entry) -> bool:
        """Whether this status is still to be acknowledged."""
        return entry.status.uuid in self._unacknowledged

    def take(self, now: Time, limit: int) -> list[Entry]:
        """Up to `limit` statuses to send now, oldest first; they come again unless acknowledged in time."""
        if len(self._queue) <= limit:
            batch = list(self._queue.values())
            self._queue.clear()
        else:
            batch = [self._queue.pop(uuid) for uuid in list(self._queue)[:limit]]
        groups: dict[int, list[Entry]] = {}
        for entry in batch:
            entry.sent = True
            groups.setdefault(entry.level, []).append(entry)
        for level, group in groups.items():
            self._waiting.setdefault(level, deque()).append((now + RESEND_AFTER[level], group))
        return batch

    def acknowledge(self, uuid: bytes) -> Entry | None:
        """The entry that this acknowledges, or None for one that is not (or no longer) known."""
        entry = self._unacknowledged.pop(uuid, None)
        if entry is not None:
            self._queue.pop(uuid, None)
        return entry

    def reconnected(self) -> None:
        """Send everything unacknowledged again, in order, with the back-off starting anew."""
        self._waiting.clear()
        self._queue = dict(self._unacknowledged)
        for entry in self._queue.values():
            entry.level = 0

    def on_time(self, now: Time) -> None:
        """Queue again what was sent and has waited long enough for its acknowledgement."""
        for entry in self._due(now):
            if entry.status.uuid in self._unacknowledged:
                entry.level = min(entry.level + 1, len(RESEND_AFTER) - 1)
                self._queue[entry.status.uuid] = entry

    def next_deadline(self) -> Time:
        """When `on_time` next has something to do; `NEVER` where nothing waits."""
        deadline = NEVER
        for waiting in self._waiting.values():  # asked for after every event
            if waiting[0][0] < deadline:
                deadline = waiting[0][0]
        return deadline

    def _due(self, now: Time) -> Iterator[Entry]:
        for level, waiting in sorted(self._waiting.items()):
            while waiting and waiting[0][0] <= now:
                yield from waiting.popleft()[1]
            if not waiting:
                del self._waiting[level]
