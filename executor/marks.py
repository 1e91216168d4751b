"""A small journal in the state directory: what a restarted executor must know and the engine cannot tell it.

Which tasks were being stopped, and of which the master has acknowledged the end. One line is written per mark, without
waiting for the disk: it is to outlive the process, not the machine. Were it lost, nothing worse would happen than
that an end is reported twice, or a stopped task as failed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from executor.records import Killing, Mark, Settled, TaskKey
from offerer.ids import FrameworkId, TaskId


class Marks:
    """The journal file `path`; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[TaskKey, Mark] = {}
        if path is not None and path.exists():
            self._known = {mark.key: mark for mark in _read(path)}

    def get(self, key: TaskKey) -> Mark | None:
        """The latest mark of this task."""
        return self._known.get(key)

    def add(self, marks: Iterable[Mark]) -> None:
        """Write these down."""
        if self._path is None:
            return
        self._known.update((mark.key, mark) for mark in marks)
        with self._path.open("a") as file:
            file.write("".join(map(_line, marks)))

    def keep(self, present: Collection[TaskKey]) -> None:
        """Forget the marks of all tasks but these: nothing is left of the others."""
        if self._path is None or self._known.keys() <= set(present):
            return
        self._known = {key: mark for key, mark in self._known.items() if key in present}
        new = self._path.with_suffix(".new")
        new.write_text("".join(map(_line, self._known.values())))
        new.replace(self._path)


def _line(mark: Mark) -> str:
    return json.dumps([*mark.key, *(mark[1:] if isinstance(mark, Killing) else (None,))]) + "\n"


def _read(path: Path) -> Iterable[Mark]:
    for line in path.read_text().splitlines():
        try:
            framework_id, task_id, kill_at, *unhealthy = json.loads(line)
        except ValueError:
            continue  # the machine went down in the middle of a write
        key = (FrameworkId(framework_id), TaskId(task_id))
        yield Settled(key) if kill_at is None else Killing(key, kill_at, *unhealthy)
