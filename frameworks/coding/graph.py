"""Which job waits for which. Taken from the newest revision of every service, where it has no cycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from frameworks.coding.names import JobName, did_you_mean


class Graph:
    """The dependencies of every job known."""

    def __init__(self, depends_on: Mapping[JobName, Iterable[JobName]]) -> None:
        self._depends_on = {job: tuple(wanted) for job, wanted in depends_on.items()}
        self._dependants: dict[JobName, set[JobName]] = {}
        for job, wanted in self._depends_on.items():
            for each in wanted:
                self._dependants.setdefault(each, set()).add(job)

    def depends_on(self, job: JobName) -> tuple[JobName, ...]:
        """The jobs that must run before this one is brought up."""
        return self._depends_on.get(job, ())

    def dependants(self, job: JobName) -> set[JobName]:
        """The jobs that depend on this one directly."""
        return self._dependants.get(job, set())

    def all_dependencies(self, jobs: Iterable[JobName]) -> list[JobName]:
        """What these jobs need, directly or not, and they themselves: each after what it depends on."""
        found: list[JobName] = []
        seen: set[JobName] = set()
        stack = [(job, False) for job in reversed(list(jobs))]
        while stack:
            job, ready = stack.pop()
            if ready:
                found.append(job)
            elif job not in seen:
                seen.add(job)
                stack.append((job, True))
                stack += [(each, False) for each in reversed(self.depends_on(job))]
        return found

    def all_dependants(self, job: JobName) -> set[JobName]:
        """Every job that needs this one, directly or not."""
        found: set[JobName] = set()
        stack = [job]
        while stack:
            for each in self._dependants.get(stack.pop(), ()):
                if each not in found:
                    found.add(each)
                    stack.append(each)
        return found

    def cycle(self) -> list[JobName]:
        """The jobs of one cycle, the first repeated at the end; empty where there is none."""
        done: set[JobName] = set()
        for start in sorted(self._depends_on):
            path: list[JobName] = []
            on_path: set[JobName] = set()
            stack: list[tuple[JobName, bool]] = [(start, False)]
            while stack:
                job, leaving = stack.pop()
                if leaving:
                    path.pop()
                    on_path.discard(job)
                    done.add(job)
                elif job in on_path:
                    return [*path[path.index(job) :], job]
                elif job not in done:
                    path.append(job)
                    on_path.add(job)
                    stack.append((job, True))
                    stack += [(each, False) for each in reversed(self.depends_on(job))]
        return []


class Fault(NamedTuple):
    """What is wrong with what a job says of other jobs: with the i-th entry of the field, or with all of it."""

    job: JobName
    i: int | None
    message: str
    field: str = "depends_on"


def check_dependencies(
    pushed: Iterable[str], depends_on: Mapping[JobName, Sequence[JobName]]
) -> tuple[list[Fault], list[str]]:
    """Faults and warnings about the dependencies among all services as they would be after a push.

    `pushed` are the services being pushed: only what they bring can be wrong with them, except for a cycle.
    """
    faults, warnings = [], []
    services = {job.service for job in depends_on}
    pushed = set(pushed)
    for job, wanted in depends_on.items():
        for i, each in enumerate(wanted):
            if each in depends_on:
                continue
            if job.service not in pushed:
                if each.service in pushed:
                    warnings.append(f"{job} depends on {each}, which this push takes away")
            elif each.service in services:
                siblings = [other.job for other in depends_on if other.service == each.service]
                hint = did_you_mean(each.job, siblings) or f"; jobs of {each.service}: {', '.join(siblings)}"
                faults.append(Fault(job, i, f"there is no job {each}{hint}"))
            else:
                warnings.append(f"{job} depends on {each}, which is not pushed yet; it waits until it is")
    cycle = Graph(depends_on).cycle()
    if cycle:
        chain = " → ".join(map(str, cycle))
        first = next((i for i, job in enumerate(cycle[:-1]) if job.service in pushed), 0)
        i = list(depends_on[cycle[first]]).index(cycle[first + 1])
        faults.append(Fault(cycle[first], i, f"these jobs wait for each other: {chain}; take one dependency out"))
    return faults, warnings
