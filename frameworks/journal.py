"""What has changed and is not yet in the store. Pure: somebody else does the writing.

A launch waits until nothing about its task is unsaved, so no container ever runs that the store does not know of.
"""

from __future__ import annotations

from typing import Protocol

from offerer import Delete, Put


class Record(Protocol):
    """Something that is kept in the store."""

    def to_bytes(self) -> bytes:
        """Its entry as it is to be now."""


class Journal:
    """Changes by key, newest value each, in two lots: being written, and waiting for the next write."""

    def __init__(self) -> None:
        self._waiting: dict[str, bytes | Record | None] = {}
        self._writing: dict[str, bytes | Record | None] = {}
        self._taken = 0
        self.noted = 0
        """How many changes were noted so far."""
        self.safe = 0
        """How many of them, counted from the first, are in the store."""

    def put(self, key: str, value: bytes | Record) -> None:
        """Have this key set; a record is written as it is by then."""
        self._note(key, value)

    def delete(self, key: str) -> None:
        """Have this key removed."""
        self._note(key, None)

    def _note(self, key: str, value: bytes | Record | None) -> None:
        self._waiting[key] = value
        self.noted += 1

    def holds(self, key: str) -> bool:
        """Whether the newest value of this key is not yet safe."""
        return key in self._waiting or key in self._writing

    @property
    def empty(self) -> bool:
        """Whether everything is safe."""
        return not self._waiting and not self._writing

    def take(self) -> list[Put | Delete]:
        """Everything to write now, in one transaction. Call `saved` or `failed` before the next."""
        self._writing, self._waiting, self._taken = {**self._writing, **self._waiting}, {}, self.noted
        return [
            Delete(key) if value is None else Put(key, value if isinstance(value, bytes) else value.to_bytes())
            for key, value in self._writing.items()
        ]

    def drop(self) -> None:
        """Take everything for written, where nothing is."""
        self._waiting, self.safe = {}, self.noted

    def saved(self) -> None:
        """What was taken is safe."""
        self._writing, self.safe = {}, self._taken

    def failed(self) -> None:
        """What was taken was not written; it comes again with the next `take`."""
        self._waiting, self._writing = {**self._writing, **self._waiting}, {}
