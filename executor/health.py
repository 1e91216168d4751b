"""What the probes of a running task have said, and what that makes of its health. Pure.

The lifecycle says when a check is due and gives it the answers; whoever carries probes out is told nothing but the
probe itself. Until a check has its first verdict it is asked every second, so that a task that is ready is known to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from offerer.containers import ContainerSpec, Probe
from offerer.types import SECOND, Time

if TYPE_CHECKING:
    from executor.records import Task

_FIRST_INTERVAL: Final[Time] = SECOND


class Check:
    """One probe of one container of a task. `verdict` is None until enough was answered."""

    __slots__ = ("_grace_until", "_in_row", "_passing", "container", "liveness", "probe", "problem", "readiness",
                 "task", "verdict")  # fmt: skip

    def __init__(
        self, task: Task, container: str, probe: Probe, now: Time, *, readiness: bool, liveness: bool
    ) -> None:
        self.task = task
        self.container = container  # its name in a pod, else empty
        self.probe = probe
        self.readiness = readiness
        self.liveness = liveness
        self.verdict: bool | None = None
        self.problem = ""  # of the latest answer
        self._passing = False
        self._in_row = 0
        self._grace_until = now + probe.grace

    def answer(self, now: Time, problem: str) -> bool:
        """Take in an answer, the empty one being a success. Whether the verdict is another one now."""
        passing = not problem
        self._in_row = self._in_row + 1 if passing is self._passing else 1
        self._passing = passing
        self.problem = problem
        if self.verdict is None and not passing and now < self._grace_until:
            self._in_row = 0
            return False
        enough = self.probe.successes if passing else self.probe.failures
        if self._in_row < enough or self.verdict is passing:
            return False
        self.verdict = passing
        return True

    @property
    def interval(self) -> Time:
        """How long after an answer to ask again."""
        return self.probe.interval if self.verdict is not None else min(self.probe.interval, _FIRST_INTERVAL)

    def __str__(self) -> str:
        """``GET :8080/healthz failed 3 times in a row: status 503``, for a verdict against it."""
        asked = what_is_asked(self.probe)
        where = f"container {self.container}: " if self.container else ""
        times = f"{self.probe.failures} times in a row" if self.probe.failures > 1 else "once"
        return f"{where}{asked} failed {times}: {self.problem}"


def what_is_asked(probe: Probe) -> str:
    """The probe in a few words."""
    if probe.command:
        return " ".join(probe.command)
    return f"GET :{probe.port}{probe.http}" if probe.http else f"connecting to port {probe.port}"


def checks_of(task: Task, now: Time) -> tuple[Check, ...]:
    """The checks of a task that has just been started. One probe that serves both purposes is asked once."""
    spec = task.spec
    return (*_checks(task, spec, now), *(check for each in spec.containers for check in _checks(task, each, now)))


def _checks(task: Task, spec: ContainerSpec, now: Time) -> Iterator[Check]:
    both = spec.readiness is not None and spec.readiness == spec.liveness
    if spec.readiness is not None:
        yield Check(task, spec.name, spec.readiness, now, readiness=True, liveness=both)
    if spec.liveness is not None and not both:
        yield Check(task, spec.name, spec.liveness, now, readiness=False, liveness=True)


def healthy(checks: tuple[Check, ...]) -> bool | None:
    """What the checks of a task come to: those of readiness, or of liveness where it has no other."""
    verdicts = [check.verdict for check in checks if check.readiness] or [check.verdict for check in checks]
    if False in verdicts:
        return False
    return None if None in verdicts or not verdicts else True
