"""The values of a service file's fields: what each may be, and what is said where it is not.

Every function takes what YAML gave, and returns the value or raises ValueError naming the value and the fix.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, PlainValidator

from frameworks.coding.names import NAME_RULE, is_label
from offerer import SECOND, Constraint, InvalidInput, Resources, Time

LEAST_MEMORY: Final = 6 << 20
"""Bytes. The engine takes no smaller limit, and less is mostly a forgotten unit."""

LARGEST_SIZE: Final = 1 << 50

_CONSTRAINT: Final = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(==|!=|=~|!~|not\s+in\b|in\b)\s*(.*?)\s*", re.DOTALL)
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _name(value: object) -> str:
    if not isinstance(value, str) or not is_label(value):
        raise ValueError(f"{value!r} is not a name; {NAME_RULE}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        fix = f"write {str(value)!r} in quotes" if isinstance(value, int | float) else "write one text"
        raise ValueError(f"{shown(value)} is not text; {fix}")
    return value


def _argument(value: object) -> str:
    return _text(value) if value != "" else ""


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size; write for example 512MiB or 2GiB")
    try:
        size = Resources.of(memory=value).memory
    except (InvalidInput, OverflowError, ValueError) as error:
        raise ValueError(str(error).removeprefix("memory: ")) from None
    if size > LARGEST_SIZE:
        raise ValueError(f"{value!r} is more than any host has; is the unit right?")
    return size


def _memory(value: object) -> int:
    size = _size(value)
    if 0 < size < LEAST_MEMORY:
        fix = f"give a unit, for example {value}MiB" if isinstance(value, int) else "6MiB is the least"
        raise ValueError(f"{value!r} is only {size} bytes; {fix}")
    return size


def _cpus(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number of cores; write for example 0.5, without quotes")
    try:
        return Resources.of(cpus=value).cpus / 1000
    except InvalidInput as error:
        raise ValueError(str(error).removeprefix("cpus: ")) from None


def _duration(value: object) -> str:
    if not isinstance(value, str) or not value or not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration; write for example 10s or 1m30s")
    return value


def parse_duration(text: str) -> Time:
    """Microseconds of a checked duration such as ``1m30s``."""
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = match.groups(default="0") if match else ("0", "0", "0")
    return (int(hours) * 3600 + int(minutes) * 60) * SECOND + round(float(seconds) * SECOND)


def _url_path(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        raise ValueError(f"{shown(value)} is not a path such as /healthz")
    return value


def _port_or_name(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    if not isinstance(value, str) or not is_label(value):
        raise ValueError(f"{shown(value)} is neither a port from 1 to 65535 nor the name of one")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{shown(value)} is not a share from 0 to 1; write for example 0.75 for three of four tasks")
    return float(value)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise ValueError(f"{shown(value)} is not a factor from 1 to 100; write for example 2")
    return float(value)


def _volume(value: object) -> str:
    parts = value.split(":") if isinstance(value, str) else []
    named = bool(parts) and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", parts[0]) is not None
    if len(parts) not in (2, 3) or not (named or parts[0].startswith("/")) or not parts[1].startswith("/"):
        raise ValueError(f"{value!r} is not HOST:CONTAINER[:ro]; write for example /data/db:/var/lib/db or files:/srv")
    if parts[2:] not in ([], ["ro"], ["rw"]):
        raise ValueError(f"{value!r} ends in {parts[2]!r}; write ro (read-only) or leave it out")
    if ".." in parts[0].split("/"):
        raise ValueError(f"{value!r} contains '..'; write the path out")
    return str(value)


def _on_host_lost(value: object) -> str | dict[str, str]:
    after = value.get("move_after") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(value, dict) and after is not None:
        return {"move_after": _duration(after)}
    if value not in ("wait", "move"):
        raise ValueError(f"{shown(value)} is not wait, move or {{move_after: 60s}}")
    return str(value)


def _environment(value: object) -> dict[str, str]:
    strings = _strings(value)
    for name in strings:
        if not _ENV_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a variable name; use letters, digits and '_'")
    return strings


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)} must map names to values, for example {{MODE: production}}")
    for name, each in value.items():
        if not isinstance(each, str):
            raise ValueError(f"{name}: {shown(each)} is not text; write it in quotes")
    return value


def _labels(value: object) -> dict[str, str]:
    strings = _strings(value)
    for name in strings:
        if name.startswith("offerer.") or not name:
            raise ValueError(f"{name!r} is not for you to set: offerer.… is what offerer itself puts on containers")
    return strings


def _signal(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"SIG[A-Z0-9+-]+", value):
        raise ValueError(f"{value!r} is not a signal; write for example SIGTERM or SIGINT")
    return value


def _dependency(value: object) -> str:
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) not in (1, 2) or not all(map(is_label, parts)):
        raise ValueError(f"{value!r} is not JOB or SERVICE/JOB, for example mysql or core/mysql")
    return str(value)


def parse_constraint(text: object) -> Constraint:
    """``zone == a``, ``disk in [ssd, nvme]``, ``kernel =~ 6\\..*``. Raises ValueError naming the fix."""
    match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    operator = " ".join(match[2].split()) if match else ""
    if not match or not match[3]:
        raise ValueError(f"{shown(text)} is not a condition; write for example 'zone == a' or 'disk in [ssd, nvme]'")
    if operator in ("in", "not in"):
        listed = match[3][1:-1] if match[3][0] + match[3][-1] == "[]" else ""
        values = tuple(_unquoted(part) for part in listed.split(",") if part.strip())
        if not values:
            raise ValueError(f"{text!r}: {operator} takes a list, for example {match[1]} {operator} [a, b]")
        return Constraint(match[1], operator, values)
    if operator in ("=~", "!~"):
        try:
            re.compile(match[3])
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return Constraint(match[1], operator, (_unquoted(match[3]),))


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _condition(value: object) -> str:
    parse_constraint(value)
    return str(value)


def shown(value: object) -> str:
    """A value as a message names it."""
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), repr(value))


Name = Annotated[str, PlainValidator(_name)]
Text = Annotated[str, PlainValidator(_text)]
Argument = Annotated[str, PlainValidator(_argument)]
Labels = Annotated[dict[str, str], PlainValidator(_labels)]
Environment = Annotated[dict[str, str], PlainValidator(_environment)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrName = Annotated[int | str, PlainValidator(_port_or_name)]
Duration = Annotated[str, PlainValidator(_duration)]
Size = Annotated[int, PlainValidator(_size)]
Memory = Annotated[int, PlainValidator(_memory)]
Cpus = Annotated[float, PlainValidator(_cpus)]
Share = Annotated[float, PlainValidator(_share)]
Factor = Annotated[float, PlainValidator(_factor)]
UrlPath = Annotated[str, PlainValidator(_url_path)]
Volume = Annotated[str, PlainValidator(_volume)]
Signal = Annotated[str, PlainValidator(_signal)]
Condition = Annotated[str, PlainValidator(_condition)]
OnHostLost = Annotated[str | dict[str, str], PlainValidator(_on_host_lost)]
Dependency = Annotated[str, PlainValidator(_dependency)]
