"""Plug-ins that misbehave, for the tests of who gets hurt."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from frameworks.coding import Coding
from offerer import (
    FOREVER,
    Constraint,
    Decisions,
    Decline,
    Demand,
    Framework,
    Launch,
    Offer,
    OfferId,
    Resources,
    TaskId,
    TaskInfo,
    TaskStatus,
    Time,
    Want,
)

ONE = Resources.of(cpus=1, memory="1GiB")


class Raises(Framework):
    """Raises over every offer."""

    name = "raises"

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        raise RuntimeError("what a pity")


class Hangs(Framework):
    """Blocks its process for longer than the master bears silence, once."""

    name = "hangs"
    hung = False

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        if not self.hung:
            self.hung = True
            print("hanging", file=sys.stderr)
            time.sleep(4)
        return None


class LaunchesWhatItWasNotOffered(Framework):
    """Makes up an offer."""

    name = "thief"

    def on_registered(self, now: Time, tasks: object) -> Decisions:
        return [Launch([OfferId(4711)], [TaskInfo(TaskId("stolen"), ONE, b"{}")])]

    def on_offers(self, now: Time, offers: Sequence[Offer]) -> Decisions:
        return [Decline([offer.id for offer in offers], FOREVER)]


class DemandsNonsense(Framework):
    """States a demand with a regular expression that is none."""

    name = "nonsense"

    def on_registered(self, now: Time, tasks: object) -> Decisions:
        return [Demand((Want(ONE, 1, (Constraint("zone", "=~", ("(",)),)),))]


class RecordingCoding(Coding):
    """The coding framework, writing every status it is shown to the file $STATUSES, as "task state" lines."""

    def on_statuses(self, now: Time, statuses: Sequence[TaskStatus]) -> Decisions:
        with open(os.environ["STATUSES"], "a") as file:
            file.writelines(f"{status.task_id} {status.state.name}\n" for status in statuses)
        return super().on_statuses(now, statuses)
