"""Which ended tasks are removed: the last few of each group stay, for a while. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from executor.records import TaskKey
from offerer.types import SECOND, Time


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is left of ended tasks stays: the last so many of each group, and none older than that."""

    keep_last: int = 10
    keep_for: Time = 3 * 24 * 3600 * SECOND


DEFAULT_RETENTION: Final = Retention()


class Ended(NamedTuple):
    """What is left of a task, under the runtime's own handle; `group` is its framework and job."""

    handle: str
    key: TaskKey
    group: str
    at: Time


def expired(ended: Iterable[Ended], retention: Retention, now: Time) -> list[Ended]:
    """Those to remove now. Of two that ended at the same time, the one named first counts as the newer."""
    groups: dict[tuple[str, str], list[Ended]] = defaultdict(list)
    for each in ended:
        groups[each.key[0], each.group].append(each)
    too_many: list[Ended] = []
    for group in groups.values():
        group.sort(key=lambda each: each.at, reverse=True)
        too_many.extend(group[retention.keep_last :])
        too_many.extend(each for each in group[: retention.keep_last] if each.at < now - retention.keep_for)
    return too_many
