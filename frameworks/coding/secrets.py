"""The secrets of services: values that nothing shows, kept in the store, each change of one a new version. Pure.

A revision holds on to the versions there were when it was pushed. So a changed secret is a change like any other:
the next push makes a revision of it, `diff` shows it, `update` rolls it out, and `rollback` takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from frameworks.coding.values import SECRET_NAME_RULE, is_secret_name
from offerer import Delete, Entry, InvalidInput, NotFound, Put, Time

PREFIX: Final = "secrets/"
LARGEST: Final = 256 << 10
"""Bytes of one value."""


@dataclass(frozen=True, slots=True)
class Version:
    """One value of a secret; None says that it was removed."""

    value: str | None
    who: str
    at: Time

    def __repr__(self) -> str:
        return f"Version(who={self.who!r}, at={self.at})"


class Secrets:
    """All secrets. They are called ``db-password``, in an environment ``db-password@staging``, and those that come
    from a file beside the service file ``core:tls.pem``.
    """

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, Version]] = {}

    def copy(self) -> Secrets:
        """Another one that knows the same."""
        copy = Secrets()
        copy._versions = {name: dict(versions) for name, versions in self._versions.items()}
        return copy

    def value(self, name: str, version: int = 0) -> str:
        """The value of this version, without one of the newest. Raises `NotFound`."""
        found = self._versions.get(name, {}).get(version or self.newest(name))
        if found is None or found.value is None:
            raise NotFound(missing(name, version))
        return found.value

    def has(self, name: str, version: int = 0) -> bool:
        """Whether there is a value of this version, or any."""
        found = self._versions.get(name, {}).get(version or self.newest(name))
        return found is not None and found.value is not None

    def newest(self, name: str) -> int:
        """The number of the newest version; 0 where there never was one."""
        return max(self._versions.get(name, {0: None}))

    def set(self, name: str, value: str, who: str, at: Time) -> tuple[int, list[Put | Delete]]:
        """The version that has this value, and what to write: nothing where the newest has it."""
        check_value(value)
        newest = self.newest(name)
        if self.has(name) and self.value(name) == value:
            return newest, []
        return newest + 1, [put(name, newest + 1, Version(value, who, at))]

    def remove(self, name: str, who: str, at: Time) -> list[Put | Delete]:
        """What to write so that no value of it is left. Its numbers stay spent. Raises `NotFound`."""
        if not self.has(name):
            raise NotFound(f"there is no secret {name}")
        gone: list[Put | Delete] = [Delete(_key(name, number)) for number in self._versions[name]]
        return [*gone, put(name, self.newest(name) + 1, Version(None, who, at))]

    def took_place(self, changes: list[Put | Delete]) -> None:
        """These changes are in the store."""
        for change in changes:
            if isinstance(change, Put):
                self.load(Entry(change.key, change.value, 0))
            else:
                name, number = _read_key(change.key)
                self._versions.get(name, {}).pop(number, None)

    def load(self, entry: Entry) -> None:
        """An entry of the store. Raises `InvalidInput`."""
        name, number = _read_key(entry.key)
        try:
            record = json.loads(entry.value)
            version = Version(record["value"], str(record["who"]), int(record["at"]))
        except (ValueError, KeyError, TypeError):
            raise InvalidInput(f"{entry.key}: not a secret; set it with: offerer secret set") from None
        self._versions.setdefault(name, {})[number] = version

    def rows(self, environment: str) -> Iterator[dict[str, Any]]:
        """Those of an environment, without their values."""
        for name in sorted(self._versions):
            file_of, colon, path = name.partition(":")
            own, _, where = file_of.partition("@")
            newest = self._versions[name][self.newest(name)]
            if where == environment and newest.value is not None:
                yield {
                    "name": f"{own}:{path}" if colon else own,
                    "from": "file" if colon else "store",
                    "stored_as": name,
                    "version": self.newest(name),
                    "size": len(newest.value.encode()),
                    "who": newest.who,
                    "at": newest.at,
                }


def put(name: str, number: int, version: Version) -> Put:
    """The entry of one version."""
    record = {"value": version.value, "who": version.who, "at": version.at}
    return Put(_key(name, number), json.dumps(record, ensure_ascii=False).encode())


def missing(name: str, version: int = 0) -> str:
    """That a secret is not there, and what to do about it."""
    if ":" in name:
        return f"the secret {name} is gone; push the service again"
    own, _, environment = name.partition("@")
    where = f" --env {environment}" if environment else ""
    if version:
        return f"the secret {own} was removed; set it with: offerer secret set {own}{where}, then push and update"
    return f"there is no secret {own}; set it with: offerer secret set {own}{where}"


def check_name(name: str) -> str:
    """The name itself. Raises `InvalidInput`."""
    if not is_secret_name(name):
        raise InvalidInput(f"name: {name!r} is not the name of a secret; {SECRET_NAME_RULE}")
    return name


def check_value(value: str) -> None:
    """Raise `InvalidInput`, without the value, where this cannot be a secret."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput("the secret is not text in UTF-8; encode it, for example with base64") from None
    if "\0" in value:
        raise InvalidInput("the secret has a NUL character; encode it, for example with base64")
    if not value:
        raise InvalidInput("the secret is empty; give a value")
    if size > LARGEST:
        raise InvalidInput(f"the secret has {size} bytes; {LARGEST} at most")


def _key(name: str, number: int) -> str:
    return f"{PREFIX}{name}/{number:08}"


def _read_key(key: str) -> tuple[str, int]:
    name, _, number = key.removeprefix(PREFIX).rpartition("/")
    if not name or not number.isascii() or not number.isdigit():
        raise InvalidInput(f"{key}: not {PREFIX}NAME/VERSION")
    return name, int(number)
