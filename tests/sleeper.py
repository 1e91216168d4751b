"""A framework with one task, ``sleeper``, to look into: it greets in a file, writes a line, and sleeps."""

from __future__ import annotations

from collections.abc import Sequence

from offerer import (
    ContainerSpec,
    Decisions,
    Decline,
    Framework,
    Launch,
    Offer,
    Resources,
    TaskId,
    TaskInfo,
    TaskStatus,
    Time,
)

NEEDS = Resources.of(cpus=0.1, memory="32MiB")


class Sleeper(Framework):
    """`image` for runtimes that need one."""

    name = "sleeper"

    def __init__(self, image: str = "") -> None:
        script = "echo hello > greeting; echo up; while true; do sleep 0.2; done"
        self._spec = ContainerSpec(image, ("sh", "-c", script), env={"WHO": "sleeper"}, stop_grace=0)
        self._launched = False

    def on_registered(self, now: Time, tasks: Sequence[TaskStatus]) -> Decisions:
        """What runs already is enough."""
        self._launched = bool(tasks)
        return ()

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        """Launch it once."""
        if self._launched:
            return [Decline([offer.id for offer in offers])]
        self._launched = True
        task = TaskInfo(TaskId("sleeper"), NEEDS, self._spec.to_bytes())
        return [Launch([offers[0].id], [task]), Decline([offer.id for offer in offers[1:]])]

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        """They are what they are."""
        return ()
