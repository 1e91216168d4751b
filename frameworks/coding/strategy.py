"""How the tasks of a job are replaced by newer ones, and started again: `update:` and `restart:` in numbers. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from offerer import SECOND, Time


class Strategy(NamedTuple):
    """The fields of `update:`. Without it: one task at a time, stopped before its successor starts."""

    parallel: int = 1
    start_first: bool = False
    min_healthy: float | None = None
    """The share of tasks that must stay ready. None: with `start_first` all; else no more than `parallel` are stopped,
    but one that fails elsewhere does not hold them up."""
    max_over: int = 0
    """How many containers more than tasks there may be at once."""
    healthy_for: Time = 0
    """How long a task must have been ready without interruption before it counts as arrived."""
    deadline: Time = 300 * SECOND
    """How long nothing may arrive before the update has failed."""
    on_failure: str = "pause"
    canary: int = 0

    @property
    def at_once(self) -> int:
        """How many tasks may be on their way at the same time."""
        return min(self.parallel, self.max_over) if self.start_first else self.parallel

    def must_stay(self, tasks: int) -> int:
        """How many of this many tasks must stay ready."""
        if self.min_healthy is None:
            return tasks if self.start_first else 0
        return math.ceil(self.min_healthy * tasks - 1e-9)

    def why_stuck(self, tasks: int) -> str | None:
        """Why an update of a job of this many tasks could never get on, with the fix; None where it can."""
        if self.healthy_for >= self.deadline:
            return "deadline: it must be longer than healthy_for, or no task could arrive in time"
        if self.start_first:
            if self.max_over < 1:
                return "max_over: 0 leaves no room to start a task first; write max_over: 1, or order: stop-first"
            return None
        if self.max_over:
            return f"max_over: {self.max_over} is of use only with order: start-first; write that, or leave it out"
        if self.must_stay(tasks) >= tasks:
            most = math.floor((tasks - 1) / tasks * 100) / 100
            fix = f"min_healthy: {most:g} or less" if tasks > 1 else "min_healthy: 0"
            return (
                f"min_healthy: {self.min_healthy:g} of {tasks} task{'' if tasks == 1 else 's'} leaves none that may be "
                f"stopped first; write order: start-first, or {fix}"
            )
        return None


class Restart(NamedTuple):
    """The fields of `restart:`: when a task that ended is started again."""

    always: bool = True
    """Also after it ended well (exit code 0)."""
    delay: Time = 1 * SECOND
    factor: float = 2
    longest: Time = 300 * SECOND
    quiet: Time = 600 * SECOND
    """A container that ran this long was well: what failed before it no longer counts."""

    def wait(self, failures: int) -> Time:
        """How far apart two starts are after this many failures in a row, 1 or more."""
        wait = float(self.delay)
        for _ in range(min(failures - 1, 64)):
            wait = min(self.longest, wait * self.factor)
        return round(min(self.longest, wait))


DEFAULT = Strategy()
