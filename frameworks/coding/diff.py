"""What differs between two revisions of a service, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from frameworks.coding.revisions import Revision
from frameworks.coding.source import Path, field_path


class Difference(NamedTuple):
    """One field that is not the same; None: it is not there."""

    field: str
    """``jobs.web.env.MODE``."""
    before: Any
    after: Any


def differences(one: Revision, other: Revision) -> list[Difference]:
    """What has to change for the first to mean what the second does. Fields in which nothing was written are equal."""
    before, after = dict(_all(one)), dict(_all(other))
    paths = dict.fromkeys([*before, *after])
    return [
        Difference(field_path(path), before.get(path), after.get(path))
        for path in sorted(paths, key=lambda path: tuple(map(str, path)))
        if before.get(path) != after.get(path)
    ]


def _all(revision: Revision) -> Iterator[tuple[Path, Any]]:
    yield from _fields(revision.content(), ())
    for name, version in revision.secrets.items():
        yield ("secrets", name), f"version {version}"


def _fields(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every field that is not a mapping itself; a list is one value, since its order says something."""
    if isinstance(value, dict) and value:
        if path and path[-1] in ("containers", "init_steps"):
            yield path, list(value)  # they start in this order
        for name, each in value.items():
            yield from _fields(each, (*path, name))
    else:
        yield path, value
