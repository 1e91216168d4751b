"""What things are called: service ``core``, job ``core/web``, task ``core/web/2``, its launch ``core.web.2.r7-3``.

The parts are DNS labels, so that a task id is a container name as it stands and takes apart in one way only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from offerer import InvalidInput, TaskId

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TASK_ID: Final = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.([a-z0-9-]+)\.r(\d+)-(\d+)")
NAME_RULE: Final = "use 1 to 63 lower-case letters, digits and '-', with no '-' at either end"


class JobName(NamedTuple):
    """``core/web``."""

    service: str
    job: str

    def __str__(self) -> str:
        return f"{self.service}/{self.job}"


class TaskName(NamedTuple):
    """``core/web/2``: one instance of a job, whatever container runs it now."""

    service: str
    job: str
    task: str

    def __str__(self) -> str:
        return f"{self.service}/{self.job}/{self.task}"

    @property
    def of_job(self) -> JobName:
        """The job it is an instance of."""
        return JobName(self.service, self.job)

    def launch(self, revision: int, attempt: int) -> TaskId:
        """The id of one launch: ``core.web.2.r7-3``."""
        return TaskId(f"{self.service}.{self.job}.{self.task}.r{revision}-{attempt}")


class Target(NamedTuple):
    """What a command is about: a service, or within it a job, or within that a task."""

    service: str
    job: str = ""
    task: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def covers(self, name: TaskName) -> bool:
        """Whether this task is meant."""
        return self.service == name.service and self.job in ("", name.job) and self.task in ("", name.task)


def is_label(name: str) -> bool:
    """Whether this may be the name of a service, a job or a task."""
    return _LABEL.fullmatch(name) is not None


def parse_task_id(task_id: str) -> tuple[TaskName, int, int] | None:
    """Task, revision and attempt of a launch of ours; None for any other id."""
    match = _TASK_ID.fullmatch(task_id)
    return (TaskName(match[1], match[2], match[3]), int(match[4]), int(match[5])) if match else None


def parse_task_name(text: str) -> TaskName | None:
    """The task of ``core/web/2``; None where it is none."""
    parts = text.split("/")
    return TaskName(*parts) if len(parts) == 3 and all(map(is_label, parts)) else None


def parse_target(text: object) -> Target:
    """The target of ``SERVICE[/JOB[/TASK]]``. Raises `InvalidInput`."""
    parts = text.split("/") if isinstance(text, str) else []
    if not 1 <= len(parts) <= 3 or not all(map(is_label, parts)):
        raise InvalidInput(f"target: {text!r} is not SERVICE, SERVICE/JOB or SERVICE/JOB/TASK, for example core/web/2")
    return Target(*parts)


def natural(name: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """Sort key by which task 10 comes after task 2."""
    return tuple((int(part), "") if part.isdigit() else (1 << 62, part) for part in name)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'image'?``, or nothing where no known name is near."""
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
