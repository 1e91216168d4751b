"""Conditions on a host's attributes, with the sentence that explains a refusal.

One implementation serves the allocator (which hosts can help a demand), the `coding` planner and `offerer why`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from offerer.errors import InvalidInput
from offerer.patterns import fits, read_pattern

OPERATORS = ("==", "!=", "in", "not in", "=~", "!~")


class Constraint(NamedTuple):
    """``attribute operator values``; the attribute ``host`` is the host's name.

    A missing attribute satisfies only the negative operators. ``=~`` matches the whole value.
    """

    attribute: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        if self.operator in ("in", "not in"):
            return f"{self.attribute} {self.operator} [{', '.join(self.values)}]"
        return f"{self.attribute} {self.operator} {', '.join(self.values)}"

    def matches(self, host: str, attributes: Mapping[str, str]) -> bool:
        """Whether a host of this name and these attributes satisfies the condition."""
        value = host if self.attribute == "host" else attributes.get(self.attribute)
        if self.operator in ("==", "in"):
            return value in self.values
        if self.operator in ("!=", "not in"):
            return value not in self.values
        found = value is not None and fits(self.values[0], value)
        return found == (self.operator == "=~")


def check_constraint(constraint: Constraint) -> Constraint:
    """The constraint itself, or `InvalidInput` naming what is wrong with it."""
    if constraint.operator not in OPERATORS:
        raise InvalidInput(f"constraint {constraint}: {constraint.operator!r} is not one of {', '.join(OPERATORS)}")
    if not constraint.values or (constraint.operator not in ("in", "not in") and len(constraint.values) != 1):
        wanted = "at least one value" if constraint.operator in ("in", "not in") else "exactly one value"
        raise InvalidInput(f"constraint on {constraint.attribute!r}: {constraint.operator} takes {wanted}")
    if constraint.operator in ("=~", "!~"):
        try:
            read_pattern(constraint.values[0])
        except InvalidInput as error:
            raise InvalidInput(f"constraint {constraint}: {error}") from None
    return constraint
