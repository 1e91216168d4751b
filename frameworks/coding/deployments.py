"""What became of production, step by step: which revision was set going by whom, and what for. Pure.

Noted only where somebody keeps the story (`frameworks.git`), and forgotten as soon as that has taken a step in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from frameworks.journal import Journal
from offerer import Time

PREFIX: Final = "deployments/"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One step."""

    id: Time
    """Its time; no two have the same."""
    service: str
    revision: int | None
    """What the service is to be now; None: nothing of it is up any more."""
    what: str
    """``up``, ``update``, ``scale``, ``restart``, ``rollback``, ``abort``, ``down`` or ``rolled back by itself``."""
    who: str
    why: str
    tasks: list[str]
    """The tasks that it is about."""

    @property
    def key(self) -> str:
        """Its key in the store, sorted by time."""
        return f"{PREFIX}{self.id:020}"

    def to_bytes(self) -> bytes:
        """Its entry in the store."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


class Deployments:
    """The steps that nobody has taken in yet, the oldest first."""

    def __init__(self, journal: Journal) -> None:
        self.wanted = False
        """Whether anybody keeps the story."""
        self._journal = journal
        self._waiting: dict[Time, Deployment] = {}
        self._last: Time = 0

    def __iter__(self) -> Iterator[Deployment]:
        return iter(list(self._waiting.values()))

    def note(
        self, service: str, revision: int | None, what: str, who: str, why: str, tasks: list[str], now: Time
    ) -> None:
        """A step was taken. Only to be called where that is `wanted`."""
        self._last = max(now, self._last + 1)
        deployment = Deployment(self._last, service, revision, what, who, why, tasks)
        self._waiting[deployment.id] = deployment
        self._journal.put(deployment.key, deployment)

    def done(self, deployment: Deployment) -> None:
        """Somebody has taken it in."""
        del self._waiting[deployment.id]
        self._journal.delete(deployment.key)

    def load(self, value: bytes) -> None:
        """One from the store. Raises ValueError or TypeError where it is none."""
        deployment = Deployment(**json.loads(value))
        self._waiting[deployment.id] = deployment
        self._last = max(self._last, deployment.id)
