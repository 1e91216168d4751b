"""Every container that ever ran, one entry each: ``history/core/web/2/00000003``. Written when it has ended."""

from __future__ import annotations

import json
from typing import Any, Final

from frameworks.coding.names import Target
from frameworks.coding.records import Run, Task
from offerer import Entry, TaskStatus

PREFIX: Final = "history/"


def entry_of(task: Task, run: Run, status: TaskStatus, image: str) -> tuple[str, bytes]:
    """Key and value of the entry of a container that ended with this status."""
    record = {
        "task_id": run.id,
        "revision": run.revision,
        "image": image,
        "image_digest": run.image_digest,
        "container": run.container,
        "host": run.host,
        "placed": run.placed,
        "started": run.started,
        "ended": status.at,
        "state": status.state.name,
        "exit_code": status.exit_code,
        "reason": status.reason.name,
        "message": status.message,
    }
    return f"{PREFIX}{task.name}/{run.number or task.attempt:08}", json.dumps(record, ensure_ascii=False).encode()


def prefix_of(target: Target) -> str:
    """The prefix of every entry about this target."""
    return f"{PREFIX}{target}/"


def read_entry(entry: Entry) -> dict[str, Any]:
    """The record of an entry, with the name of its task."""
    name = entry.key.removeprefix(PREFIX).rpartition("/")[0]
    return {"task": name, **json.loads(entry.value)}
