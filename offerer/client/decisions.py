"""What a plug-in is and says, checked alike in production and in the simulator. Pure.

The decisions themselves are checked as they are made, in `offerer.framework`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, get_args

from offerer.errors import InvalidInput
from offerer.framework import Decision, Framework
from offerer.ids import check_name

_KINDS: Final = frozenset(get_args(Decision))


def check_framework(framework: Framework) -> None:
    """Raise `InvalidInput` for what is no framework, or cannot register."""
    if isinstance(framework, type):
        raise InvalidInput(f"{framework.__name__} is a class; give an instance of it: {framework.__name__}()")
    kind = type(framework).__name__
    if not isinstance(framework, Framework):
        raise InvalidInput(f"{kind}: {framework!r} is no framework; derive its class from offerer.Framework")
    check_name(f"{kind}.name", framework.name)
    check_name(f"{kind}.role", framework.role)
    if type(framework.failover_timeout) is not int or abs(framework.failover_timeout) >= 1 << 63:
        wanted = "a whole number of microseconds, such as 3600 * SECOND"
        raise InvalidInput(f"{kind}.failover_timeout: {framework.failover_timeout!r} must be {wanted}")


def decided(method: str, decisions: Iterable[Decision] | None) -> Sequence[Decision]:
    """What a method of a plug-in returned. Raises `InvalidInput` where that is not a number of decisions."""
    if decisions is None:
        return ()
    if type(decisions) in _KINDS or not isinstance(decisions, Iterable):
        raise InvalidInput(f"{method} returned {decisions!r:.200}; return a list of decisions, such as [Decline(…)]")
    found = list(decisions)
    for each in found:
        if type(each) not in _KINDS:
            raise InvalidInput(f"{method}: {each!r:.200} is not a decision; return Launch, Decline, Kill, Demand, …")
    return found
