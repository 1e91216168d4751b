"""What the engine's descriptions of a container say, in our records. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from executor.records import Adopted, Exited, Lost, Observed, TaskKey
from executor.runtime import LogChunk
from executor.spec import CONTAINER, FRAMEWORK, SECRET, TASK, main_parts, task_of
from offerer.containers import REDACTED
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


def ended(inspected: Inspected, data: bytes) -> Exited | Lost | None:
    """How the container ended; None where it has not."""
    labels, state = inspected["Config"]["Labels"], inspected["State"]
    key, container = key_of(labels), labels.get(CONTAINER, "")
    if state["Status"] in _GOING:
        return Lost(key, REMOVED, container)
    if state["Running"] or state["Status"] == "created":
        return None
    return Exited(key, state["ExitCode"], state["OOMKilled"], data, container)


def adopted(containers: Sequence[Inspected], data: Callable[[Inspected], bytes]) -> Adopted:
    """The task of an earlier executor process that these containers are. Raises `InvalidInput` for labels not ours."""
    named = {each["Config"]["Labels"].get(CONTAINER, ""): each for each in containers}
    task = task_of(containers[0]["Config"]["Labels"])
    while task.position < len(task.spec.init_steps) and _succeeded(named.get(task.spec.init_steps[task.position].name)):
        task.position += 1
    together = main_parts(task.spec)
    if leader := named.get(together[0].name):
        task.container, task.data = leader["Id"], data(leader)
    prepares = task.position < len(task.spec.init_steps)
    awaited = (task.spec.init_steps[task.position],) if prepares else together
    events: list[Exited | Lost] = []
    created = False
    for part in awaited:
        inspected = named.get(part.name)
        if inspected is None:
            events.append(Lost(task.key, REMOVED, part.name))
        elif inspected["State"]["Status"] == "created":
            created = True
        elif event := ended(inspected, data(inspected)):
            events.append(event)
    task.observed = Observed.CREATED if created and not events else Observed.RUNNING
    if task.spec.containers and not prepares:
        unstarted = {name for name, each in named.items() if each["State"]["Status"] == "created"}
        task.alive = {part.name for part in together} - (unstarted if events else set())
    return Adopted(task, tuple(events))


def _succeeded(step: Inspected | None) -> bool:
    """Whether an init step ran to its end, and well."""
    return step is not None and step["State"]["Status"] == "exited" and step["State"]["ExitCode"] == 0


def redacted(inspected: dict[str, Any]) -> dict[str, Any]:
    """The engine's description with the values of secret variables hidden."""
    config = inspected["Config"]
    secret = set(config["Labels"].get(SECRET, "").split(",")) - {""}
    if secret:
        config["Env"] = [
            f"{name}={REDACTED}" if name in secret else f"{name}{equals}{value}"
            for name, equals, value in (each.partition("=") for each in config["Env"] or ())
        ]
    return inspected


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
