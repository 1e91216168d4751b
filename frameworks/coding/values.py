"""The values of a service file's fields: what each may be, and what is said where it is not.

Every function takes what YAML gave, and returns the value or raises ValueError naming the value and the fix.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from frameworks.coding.names import LABEL, NAME_RULE, is_label
from offerer import SECOND, Constraint, Device, InvalidInput, Mount, Resources, Time, Tmpfs, Ulimit

LEAST_MEMORY: Final = 6 << 20
"""Bytes. The engine takes no smaller limit, and less is mostly a forgotten unit."""

LARGEST_SIZE: Final = 1 << 50
SECRET_NAME_RULE: Final = "use 1 to 253 letters, digits, '_', '-' and '.', with no '-' or '.' at the beginning"

_CONSTRAINT: Final = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(==|!=|=~|!~|not\s+in\b|in\b)\s*(.*?)\s*", re.DOTALL)
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_NAME_OF_THE_ENGINE: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_CAPABILITY: Final = re.compile(r"(CAP_)?[A-Z][A-Z_]+")


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


def parse_volume(text: object) -> Mount:
    """``/data/db:/var/lib/db``, ``files:/srv:ro``. Raises ValueError naming the fix."""
    parts = text.split(":") if isinstance(text, str) else []
    named = bool(parts) and _NAME_OF_THE_ENGINE.fullmatch(parts[0]) is not None
    if len(parts) not in (2, 3) or not (named or parts[0].startswith("/")) or not parts[1].startswith("/"):
        raise ValueError(
            f"{shown(text)} is not HOST:CONTAINER[:ro]; write for example /data/db:/var/lib/db or files:/srv"
        )
    if parts[2:] not in ([], ["ro"], ["rw"]):
        raise ValueError(f"{text!r} ends in {parts[2]!r}; write ro (read-only) or leave it out")
    _no_way_up(text, parts)
    return Mount(parts[0], parts[1], parts[2:] == ["ro"])


def parse_tmpfs(text: object) -> Tmpfs:
    """``/tmp``, ``/tmp:size=64MiB``. Raises ValueError naming the fix."""
    path, colon, option = text.partition(":") if isinstance(text, str) else ("", "", "")
    name, _, size = option.partition("=")
    if not path.startswith("/") or colon and name != "size":
        raise ValueError(f"{shown(text)} is not PATH[:size=SIZE]; write for example /tmp or /tmp:size=64MiB")
    _no_way_up(text, [path])
    return Tmpfs(path, _size(size) if colon else 0)


def parse_device(text: object) -> Device:
    """``/dev/fuse``, ``/dev/sda:/dev/disk:r``. Raises ValueError naming the fix."""
    parts = text.split(":") if isinstance(text, str) else [""]
    permissions = parts[2] if len(parts) == 3 else "rwm"
    absolute = all(part.startswith("/") for part in parts[:2])
    if len(parts) > 3 or not absolute or not permissions or set(permissions) - set("rwm"):
        raise ValueError(
            f"{shown(text)} is not DEVICE[:IN_THE_CONTAINER[:rwm]]; write for example /dev/fuse or /dev/sda:/dev/disk:r"
        )
    _no_way_up(text, parts[:2])
    return Device(parts[0], parts[1] if len(parts) > 1 else "", permissions)


def _no_way_up(text: object, paths: list[str]) -> None:
    if any(".." in path.split("/") for path in paths):
        raise ValueError(f"{text!r} contains '..'; write the path out")


def parse_ulimit(name: str, value: object) -> Ulimit:
    """``65536``, or ``{soft: 1024, hard: 65536}``; -1 is no limit. Raises ValueError naming the fix."""
    both: dict[str, Any] = value if isinstance(value, dict) else {"soft": value, "hard": value}
    fix = "write for example 65536, or {soft: 1024, hard: 65536}; -1 is no limit"
    if set(both) != {"soft", "hard"}:
        raise ValueError(f"{shown(value)} must have soft and hard; {fix}")
    for number in both.values():
        if isinstance(number, bool) or not isinstance(number, int) or not -1 <= number < 1 << 62:
            raise ValueError(f"{shown(number)} is not a limit; {fix}")
    soft, hard = both["soft"], both["hard"]
    if hard != -1 and not -1 < soft <= hard:
        raise ValueError(f"soft {soft} is above hard {hard}; {fix}")
    return Ulimit(name, soft, hard)


def _ulimit(value: object) -> Any:
    parse_ulimit("", value)
    return value


def _as_written(parse: Callable[[object], object]) -> Callable[[object], str]:
    """Checks that the text can be parsed, and keeps the text."""

    def check(value: object) -> str:
        parse(value)
        return str(value)

    return check


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
        _variable(name)
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


def _extra_hosts(value: object) -> dict[str, str]:
    """A mapping, or what compose users write: a list of NAME:ADDRESS. Addresses of IPv6 have colons of their own."""
    fix = "write for example {db.internal: 10.0.0.7}"
    if isinstance(value, list):
        parts = [str(each).replace("=", ":", 1).partition(":") for each in value]
        pairs = {name: address for name, _, address in parts}
    elif isinstance(value, dict):
        pairs = value
    else:
        raise ValueError(f"{shown(value)} must map names to addresses; {fix}")
    for name, address in pairs.items():
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a host; {fix}")
        if address != "host-gateway":
            _address(address)
    return pairs


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else _text(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is not an address, for example 10.0.0.7") from None


def _host_name(value: object) -> str:
    if not isinstance(value, str) or not _HOST_NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is not the name of a host; use letters, digits, '-' and '.', at most 63")
    return value


def _network(value: object) -> str:
    if value in ("host", "bridge"):
        raise ValueError(f"{value!r} is not a network to join; write network_mode: {value}")
    if not isinstance(value, str) or not _NAME_OF_THE_ENGINE.fullmatch(value) or value == "none":
        raise ValueError(f"{shown(value)} cannot be joined; name a network of the engine, for example backend")
    return value


def _capability(value: object) -> str:
    if not isinstance(value, str) or not _CAPABILITY.fullmatch(value):
        upper = value.upper() if isinstance(value, str) else ""
        fix = f"write {upper}" if _CAPABILITY.fullmatch(upper) else "write for example NET_ADMIN"
        raise ValueError(f"{shown(value)} is not a capability; {fix}")
    return value


def _ulimit_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]+", value):
        raise ValueError(f"{shown(value)} is not a limit; write for example nofile or memlock")
    return value


def _secret_name(value: object) -> str:
    if not isinstance(value, str) or not is_secret_name(value):
        raise ValueError(f"{shown(value)} is not the name of a secret; {SECRET_NAME_RULE}")
    return value


def is_secret_name(name: str) -> bool:
    """Whether a secret may be called so."""
    return _SECRET_NAME.fullmatch(name) is not None


def _variable(value: object) -> str:
    if not isinstance(value, str) or not _ENV_NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a variable name; use letters, digits and '_'")
    return value


def _absolute(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[^\0:]*[^\0:/]", value) or ".." in value.split("/"):
        raise ValueError(f"{shown(value)} is not the path of a file in the container; write for example /etc/app/key")
    return value


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


def shown(value: object) -> str:
    """A value as a message names it."""
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), repr(value))


KIND: Final = "x-kind"
"""The key of a JSON Schema under which the reference finds what to call a value."""


def _mapping(what: str, example: dict[str, Any], names: str = "") -> WithJsonSchema:
    values = {"type": ["string", "number", "boolean"]}  # which are taken as written where that is beyond doubt
    schema = {"type": "object", "additionalProperties": values, KIND: what, "examples": [example]}
    return WithJsonSchema(schema | ({"propertyNames": {"pattern": f"^(?:{names})$"}} if names else {}))


def text_schema(what: str, example: str = "", pattern: str = "", *kinds: str) -> WithJsonSchema:
    """What editors and the reference are told of a text, or of what may be written as one of other `kinds` too."""
    schema: dict[str, Any] = {"type": ["string", *kinds] if kinds else "string", KIND: what}
    if example:
        schema["examples"] = [example]
    return WithJsonSchema(schema | ({"pattern": f"^(?:{pattern})$"} if pattern else {}))


def _number(what: str, example: float, least: float, most: float) -> WithJsonSchema:
    limits = {"minimum": least, "maximum": most}
    return WithJsonSchema({"type": "number", KIND: what, "examples": [example], **limits})


# Each with what editors and the reference are told of it. The patterns may let through what the checks do not.
Name = Annotated[str, PlainValidator(_name), text_schema("name", "web", LABEL)]
Text = Annotated[str, PlainValidator(_text), text_schema("text")]
Argument = Annotated[str, PlainValidator(_argument), text_schema("text")]
Labels = Annotated[dict[str, str], PlainValidator(_labels), _mapping("names and texts", {"team": "web"})]
Environment = Annotated[
    dict[str, str],
    PlainValidator(_environment),
    _mapping("names and values", {"MODE": "production"}, _ENV_NAME.pattern),
]
Strings = Annotated[dict[str, str], PlainValidator(_strings), _mapping("names and texts", {"key": "value"})]
ExtraHosts = Annotated[
    dict[str, str],
    PlainValidator(_extra_hosts),
    WithJsonSchema({"type": ["object", "array"], KIND: "names and addresses", "examples": [{"db": "10.0.0.7"}]}),
]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrName = Annotated[
    int | str,
    PlainValidator(_port_or_name),
    WithJsonSchema({"type": ["integer", "string"], KIND: "port, or name of one", "examples": ["http"]}),
]
Duration = Annotated[str, PlainValidator(_duration), text_schema("duration", "1m30s", _DURATION.pattern)]
Size = Annotated[int, PlainValidator(_size), text_schema("size", "512MiB", "", "integer")]
Memory = Annotated[int, PlainValidator(_memory), text_schema("size", "512MiB", "", "integer")]
Cpus = Annotated[float, PlainValidator(_cpus), _number("cores", 0.5, 0, 1_000_000)]
Share = Annotated[float, PlainValidator(_share), _number("share", 0.75, 0, 1)]
Factor = Annotated[float, PlainValidator(_factor), _number("factor", 2, 1, 100)]
UrlPath = Annotated[str, PlainValidator(_url_path), text_schema("path", "/healthz", r"/[!-~]*")]
Volume = Annotated[
    str,
    PlainValidator(_as_written(parse_volume)),
    text_schema("volume", "/data/db:/var/lib/db:ro", r"[^:]+:/[^:]*(:r[ow])?"),
]
TmpfsMount = Annotated[
    str, PlainValidator(_as_written(parse_tmpfs)), text_schema("path and size", "/tmp:size=64MiB", r"/[^:]*(:size=.+)?")
]
DevicePath = Annotated[
    str,
    PlainValidator(_as_written(parse_device)),
    text_schema("device", "/dev/fuse:/dev/fuse:rw", r"/[^:]*(:/[^:]*(:[rwm]+)?)?"),
]
UlimitName = Annotated[str, PlainValidator(_ulimit_name), text_schema("limit", "nofile", r"[a-z]+")]
UlimitValue = Annotated[
    Any,
    PlainValidator(_ulimit),
    WithJsonSchema({"type": ["integer", "object"], KIND: "limit", "examples": [{"soft": 1024, "hard": 65536}]}),
]
Files = Annotated[
    list[Text],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, KIND: "files", "examples": ["web.env"]}),
]
Address = Annotated[str, PlainValidator(_address), text_schema("address", "10.0.0.7")]
HostName = Annotated[str, PlainValidator(_host_name), text_schema("name of a host", "web.internal", _HOST_NAME.pattern)]
Network = Annotated[str, PlainValidator(_network), text_schema("network", "backend", _NAME_OF_THE_ENGINE.pattern)]
Capability = Annotated[str, PlainValidator(_capability), text_schema("capability", "NET_ADMIN", _CAPABILITY.pattern)]
SecretName = Annotated[str, PlainValidator(_secret_name), text_schema("name", "db-password", _SECRET_NAME.pattern)]
Variable = Annotated[str, PlainValidator(_variable), text_schema("variable", "DB_PASSWORD", _ENV_NAME.pattern)]
ContainerPath = Annotated[str, PlainValidator(_absolute), text_schema("path", "/etc/app/key", r"/.*[^/]")]
Signal = Annotated[str, PlainValidator(_signal), text_schema("signal", "SIGINT", r"SIG[A-Z0-9+-]+")]
Condition = Annotated[str, PlainValidator(_as_written(parse_constraint)), text_schema("condition", "zone in [a, b]")]
OnHostLost = Annotated[
    str | dict[str, str],
    PlainValidator(_on_host_lost),
    WithJsonSchema({"type": ["string", "object"], KIND: "`wait`, `move`", "examples": [{"move_after": "60s"}]}),
]
Dependency = Annotated[str, PlainValidator(_dependency), text_schema("job", "core/mysql", f"{LABEL}(/{LABEL})?")]
