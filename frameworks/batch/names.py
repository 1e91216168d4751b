"""What things are called: the job ``resize-7``, its instance ``resize-7/42``, that one's launch ``resize-7.42.1``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from frameworks.coding.values import shown
from offerer import InvalidInput, TaskId

_JOB_ID: Final = re.compile(r"[a-z0-9-]+-([0-9]+)")
_JOB: Final = re.compile(r"[a-z0-9-]+")
_INDEX: Final = re.compile(r"[0-9]{1,9}")
_TASK_ID: Final = re.compile(r"([a-z0-9-]+-[0-9]+)\.([0-9]+)\.([0-9]+)")


class Launched(NamedTuple):
    """What the id of a task says."""

    job: str
    instance: int
    attempt: int


def task_id(job: str, index: int, attempt: int) -> TaskId:
    """The id of one launch of an instance."""
    return TaskId(f"{job}.{index}.{attempt}")


def parse_task_id(text: str) -> Launched | None:
    """What was launched under this id; None for any id that is not of our making."""
    match = _TASK_ID.fullmatch(text)
    return Launched(match[1], int(match[2]), int(match[3])) if match else None


def number_of(job: str) -> int:
    """The number of a job: 7 of ``resize-7``. Raises `InvalidInput`."""
    match = _JOB_ID.fullmatch(job)
    if match is None:
        raise InvalidInput(f"{job!r} is not a job, for example resize-7")
    return int(match[1])


def parse_instance(text: object) -> tuple[str, int | None]:
    """Job, by id or bare name, and index of ``resize-7/42``; of ``resize-7`` no index. Raises `InvalidInput`."""
    job, slash, index = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not _JOB.fullmatch(job) or slash and not _INDEX.fullmatch(index):
        raise InvalidInput(f"{shown(text)} is not JOB or JOB/INSTANCE, for example resize-7/42")
    return job, int(index) if index else None
