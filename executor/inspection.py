"""What the engine's descriptions of a container say, in our records. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from executor.records import Adopted, Event, Exited, Lost, Observed, TaskKey
from executor.runtime import LogChunk
from executor.spec import FRAMEWORK, TASK, task_of
from offerer.ids import FrameworkId, TaskId
from offerer.types import Time

REMOVED: Final = "the container was removed by somebody else"
_GOING: Final = ("removing", "dead")
_FRAME_HEADER: Final = 8
_STDERR: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Inspected = Mapping[str, Any]


def key_of(labels: Mapping[str, str]) -> TaskKey:
    """The task that a container with these labels belongs to."""
    return FrameworkId(labels[FRAMEWORK]), TaskId(labels[TASK])


def ended(inspected: Inspected, data: bytes) -> Event | None:
    """How the container ended; None where it has not."""
    key = key_of(inspected["Config"]["Labels"])
    state = inspected["State"]
    if state["Status"] in _GOING:
        return Lost(key, REMOVED)
    if state["Running"] or state["Status"] == "created":
        return None
    return Exited(key, state["ExitCode"], state["OOMKilled"], data)


def adopted(inspected: Inspected, data: bytes) -> Adopted:
    """The task of an earlier executor process that this container is. Raises `InvalidInput` for labels not ours."""
    task = task_of(inspected["Config"]["Labels"])
    task.container = inspected["Id"]
    task.data = data
    task.observed = Observed.CREATED if inspected["State"]["Status"] == "created" else Observed.RUNNING
    event = ended(inspected, data)
    if type(event) is Lost:
        return Adopted(task, lost=event.message)
    return Adopted(task, event if type(event) is Exited else None)


def status_data(inspected: Inspected, digest: str) -> bytes:
    """What goes into the data of a status, as JSON."""
    state = inspected["State"]
    networks = inspected["NetworkSettings"]["Networks"] or {}
    data = {
        "container": inspected["Id"][:12],
        "name": inspected["Name"].removeprefix("/"),
        "image": inspected["Config"]["Image"],
        "image_digest": digest,
        "started_at": microseconds(state["StartedAt"]),
        "finished_at": microseconds(state["FinishedAt"]),
        "ip": next((each["IPAddress"] for each in networks.values() if each["IPAddress"]), ""),
    }
    return json.dumps({name: value for name, value in data.items() if value}).encode()


def microseconds(text: str) -> Time:
    """Microseconds since 1970 of ``2026-11-22T23:30:05.252447554Z``; 0 for the engine's "never" (the year 1)."""
    since = datetime.fromisoformat(text) - _EPOCH
    return max(0, since // timedelta(microseconds=1))


def log_frames(read: Callable[[int], bytes]) -> Iterator[LogChunk]:
    """The output in the engine's frames: a byte for the stream, three of nothing, four for the length, the bytes."""
    while len(header := read(_FRAME_HEADER)) == _FRAME_HEADER:
        yield LogChunk(header[0] == _STDERR, read(int.from_bytes(header[4:], "big")))
