"""The store: keys with revisions, atomic compare-and-swap, and watches. etcd's model, as small as we need it.

Every change of anything gets the next *revision*, one counter for the whole store. An entry carries the revision
that last changed it, so "put this if nobody changed it since I read it" is a comparison of two numbers.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A key, its value, and the revision of its last change."""

    key: str
    value: bytes
    revision: int


class Put(NamedTuple):
    """Set a key."""

    key: str
    value: bytes


class Delete(NamedTuple):
    """Remove a key; it need not exist."""

    key: str


class Compare(NamedTuple):
    """Require that a key was last changed at this revision; 0 requires that it does not exist."""

    key: str
    revision: int


class Change(NamedTuple):
    """A key was set (`value`) or removed (`None`) at this revision."""

    key: str
    value: bytes | None
    revision: int


class Store(Protocol):
    """What SQLite, etcd and the connection to a master's store all offer; one test suite runs against each.

    Every method raises `Unavailable` where the store does not answer.
    """

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, or None."""

    async def range(self, prefix: str) -> tuple[list[Entry], int]:
        """All entries whose key starts with `prefix`, by key, and the store's revision they were read at."""

    async def transact(self, changes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        """Make all changes at one revision, durably, and return it. Raises `Conflict` where a comparison fails."""

    def watch(self, prefix: str, after: int) -> AsyncIterator[list[Change]]:
        """Every change under `prefix` later than revision `after`, in order, in whole revisions, without end.

        Raises `Compacted` where some of these changes are no longer kept.
        """

    async def close(self) -> None:
        """Finish what is under way and let go."""
