"""What things are called: service ``core``, job ``core/web``, task ``core/web/2``, its launch ``core.web.2.r7-3``;
in an environment ``core@staging``, ``core@staging/web/2`` and ``core@staging.web.2.r7-3``.

The parts are DNS labels, so that a task id is a container name as it stands and takes apart in one way only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from offerer import InvalidInput, TaskId

LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LABEL: Final = re.compile(LABEL)
_TASK_ID: Final = re.compile(r"([a-z0-9-]+(?:@[a-z0-9-]+)?)\.([a-z0-9-]+)\.([a-z0-9-]+)\.r(\d+)-(\d+)")
_ONCE: Final = re.compile(r"run-\d+")
MAX_ENVIRONMENT: Final = 32
"""Characters. With the longest names of everything else, a task id still fits into the 255 that it may have."""

EVERY_ENVIRONMENT: Final = "*"
"""Stands for all of them where services are listed."""

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


def in_environment(service: str, environment: str) -> str:
    """What a service is called in an environment: ``core@staging``; the base one has no name: ``core``.

    No label has an ``@``, so nothing else can be called so.
    """
    return f"{service}@{environment}" if environment else service


def environment_in(service: str) -> str:
    """``staging`` of ``core@staging``; empty of the base environment."""
    return service.partition("@")[2]


def check_environment(environment: object) -> str:
    """The name itself, empty for the base environment. Raises `InvalidInput`."""
    if environment != "" and (not isinstance(environment, str) or not is_service(f"x@{environment}")):
        raise InvalidInput(f"environment: {environment!r} is not a name; {NAME_RULE}, and {MAX_ENVIRONMENT} at most")
    return str(environment)


def is_service(name: str) -> bool:
    """Whether a service may be called so, with or without an environment."""
    service, at, environment = name.partition("@")
    return is_label(service) and (not at or is_label(environment) and len(environment) <= MAX_ENVIRONMENT)


def is_label(name: str) -> bool:
    """Whether this may be the name of a service, a job or a task."""
    return _LABEL.fullmatch(name) is not None


def is_once(task: str) -> bool:
    """Whether one-off tasks are called so, and therefore no other."""
    return _ONCE.fullmatch(task) is not None


def parse_task_id(task_id: str) -> tuple[TaskName, int, int] | None:
    """Task, revision and attempt of a launch of ours; None for any other id."""
    match = _TASK_ID.fullmatch(task_id)
    return (TaskName(match[1], match[2], match[3]), int(match[4]), int(match[5])) if match else None


def parse_task_name(text: str) -> TaskName | None:
    """The task of ``core/web/2``; None where it is none."""
    parts = text.split("/")
    return TaskName(*parts) if len(parts) == 3 and _are_names(parts) else None


def parse_target(text: object, environment: str = "") -> Target:
    """The target of ``SERVICE[/JOB[/TASK]]``, in this environment unless it names one itself. Raises `InvalidInput`."""
    parts = text.split("/") if isinstance(text, str) else []
    if not 1 <= len(parts) <= 3 or not _are_names(parts):
        raise InvalidInput(f"target: {text!r} is not SERVICE, SERVICE/JOB or SERVICE/JOB/TASK, for example core/web/2")
    own = environment_in(parts[0])
    if own and environment and own != environment:
        raise InvalidInput(f"target: {text!r} is not in the environment {environment!r}; name one of the two")
    return Target(parts[0] if own else in_environment(parts[0], environment), *parts[1:])


def _are_names(parts: list[str]) -> bool:
    return is_service(parts[0]) and all(map(is_label, parts[1:]))


def natural(name: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """Sort key by which task 10 comes after task 2."""
    return tuple((int(part), "") if part.isdigit() else (1 << 62, part) for part in name)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'image'?``, or nothing where no known name is near."""
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
