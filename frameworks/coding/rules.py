"""Where a task may run, as a service file says it: conditions on the host, and rules about the tasks beside it. Pure.

``zone == a`` is a `Constraint`, which any host satisfies or does not. ``zone unique`` is a `Rule`: which hosts it
leaves depends on where other tasks are, and `frameworks.coding.company` knows that.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from pydantic import PlainValidator

from frameworks.coding.names import JobName, is_label
from frameworks.coding.values import parse_constraint, shown, text_schema
from offerer import Constraint

_RULE: Final = re.compile(r"\s*(?:(\S+)\s+(unique|max_per)(?:\s+(\S+))?|(spread|same|with|apart):?\s+(\S+))\s*")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][\w.-]*")
_EXAMPLES: Final = "'zone == a', 'disk in [ssd, nvme]', 'host unique', 'zone max_per 2', 'spread zone' or 'apart db'"
_OF_MARATHON: Final = {
    "unique": "{0} unique", "max_per": "{0} max_per {1}", "group_by": "spread {0}", "cluster": "{0} == {1}",
    "like": "{0} =~ {1}", "unlike": "{0} !~ {1}", "is": "{0} == {1}",
}  # fmt: skip


class Rule(NamedTuple):
    """One rule about other tasks: those of the same job, or with ``with`` and ``apart`` those of another."""

    kind: str
    """``unique``, ``max_per``, ``spread``, ``same``, ``with`` or ``apart``."""
    attribute: str
    """Hosts with the same value of it count as one place; ``host`` is each host by itself."""
    most: int = 0
    """How many tasks of the job one place takes: of ``unique`` and ``max_per``."""
    job: JobName | None = None
    """Of ``with`` and ``apart``. Its service is empty where the file names a job of its own service."""

    def __str__(self) -> str:
        if self.job is not None:
            return f"{self.kind} {self.job if self.job.service else self.job.job}"
        if self.kind == "max_per":
            return f"{self.attribute} max_per {self.most}"
        return f"{self.attribute} unique" if self.kind == "unique" else f"{self.kind} {self.attribute}"


def parse_condition(value: object) -> Constraint | Rule:
    """What one entry of `constraints` or `prefer` says. Raises ValueError naming the fix."""
    if isinstance(value, dict) and len(value) == 1:
        ((word, what),) = value.items()  # YAML reads `with: db` so
        value = f"{word} {what}" if word in ("spread", "same", "with", "apart") else value
    if isinstance(value, list):
        raise ValueError(f"{value!r} is a list; {_marathon_fix([str(word) for word in value])}")
    match = _RULE.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] in ("in", "not"):
        words = value.split() if isinstance(value, str) else []
        if len(words) > 1 and words[1].lower() in _OF_MARATHON:
            raise ValueError(f"{value!r} is not a condition; {_marathon_fix(words)}")
        try:
            return parse_constraint(value)
        except ValueError as error:
            if "is not a condition" not in str(error):
                raise
            raise ValueError(f"{shown(value)} is not a condition; write for example {_EXAMPLES}") from None
    return _parse_rule(str(value), match)


def _parse_rule(text: str, match: re.Match[str]) -> Rule:
    kind, what = match[2] or match[4], match[1] or match[5]
    if kind in ("with", "apart"):
        parts = what.split("/")
        if len(parts) > 2 or not all(map(is_label, parts)):
            raise ValueError(f"{text!r}: {what!r} is not JOB or SERVICE/JOB; write for example {kind} core/db")
        return Rule(kind, "host", job=JobName(*parts) if len(parts) == 2 else JobName("", what))
    if not _ATTRIBUTE.fullmatch(what):
        raise ValueError(f"{text!r}: {what!r} is not an attribute; write for example {Rule(kind, 'zone', 2)}")
    if what == "hostname":
        raise ValueError(f"{text!r}: the attribute that is the host's name is called host; write host")
    if kind == "unique" and match[3]:
        raise ValueError(f"{text!r}: unique takes no number; write {what} unique, or {what} max_per 2")
    if kind == "max_per" and not re.fullmatch(r"[1-9]\d{0,5}", match[3] or ""):
        raise ValueError(f"{text!r}: max_per takes a number of tasks, 1 or more; write for example {what} max_per 2")
    return Rule(kind, what, {"unique": 1, "max_per": int(match[3] or 0)}.get(kind, 0))


def _marathon_fix(words: list[str]) -> str:
    """How a constraint of Marathon, such as ``[rack, GROUP_BY]``, is written here."""
    known = _OF_MARATHON.get(words[1].lower()) if len(words) > 1 else None
    if known is None:
        return f"write for example {_EXAMPLES}"
    attribute = "host" if words[0].strip("@") == "hostname" else words[0]
    value = words[2] if len(words) > 2 else ""
    if not value and "{1}" in known:
        known = "same {0}" if words[1].lower() == "cluster" else known.replace("{1}", "2" if "max" in known else "…")
    return f"write '{known.format(attribute, value)}'"


def _condition(value: object) -> str:
    parsed = parse_condition(value)
    return str(value) if isinstance(value, str) else str(parsed)


Condition = Annotated[str, PlainValidator(_condition), text_schema("condition or rule", "zone in [a, b]", "", "object")]
