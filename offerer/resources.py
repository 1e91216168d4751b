"""Resources: exact integers, never floats. Milli-CPUs, bytes, whole GPUs, other named counts, port ranges.

A `Resources` is immutable. Arithmetic is exact, and subtraction refuses to go below zero, so a ledger kept with
these operators cannot drift or lose a port.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from offerer.errors import InvalidInput

MIB: Final = 1 << 20
GIB: Final = 1 << 30
_UNITS: Final = {
    "": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9, "T": 10**12,
    "TB": 10**12, "KI": 1 << 10, "KIB": 1 << 10, "MI": MIB, "MIB": MIB, "GI": GIB, "GIB": GIB, "TI": 1 << 40,
    "TIB": 1 << 40,
}  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")


class Resources:
    """An amount of each resource: of a host, an offer or a task.

    `cpus` is in thousandths of a core, `memory` and `disk` in bytes, `gpus` in whole devices. `counts` holds
    every other named count as sorted ``(name, count)`` pairs, `ports` holds inclusive ``(first, last)`` ranges,
    sorted and merged.
    """

    __slots__ = ("counts", "cpus", "disk", "gpus", "memory", "ports")

    cpus: int
    memory: int
    disk: int
    gpus: int
    counts: tuple[tuple[str, int], ...]
    ports: tuple[tuple[int, int], ...]

    def __init__(
        self,
        cpus: int = 0,
        memory: int = 0,
        disk: int = 0,
        gpus: int = 0,
        counts: tuple[tuple[str, int], ...] = (),
        ports: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.cpus = cpus
        self.memory = memory
        self.disk = disk
        self.gpus = gpus
        self.counts = counts
        self.ports = ports

    @classmethod
    def of(
        cls,
        cpus: float | int = 0,
        memory: str | int = 0,
        disk: str | int = 0,
        gpus: int = 0,
        counts: Mapping[str, int] | None = None,
        ports: str | Iterable[tuple[int, int]] = (),
    ) -> Resources:
        """Resources from a person's units: cores, ``"512MiB"`` or bytes, ``"31000-31999,80"``.

        Raises `InvalidInput` naming the resource, the value and the form wanted.
        """
        ranges = parse_ports(ports) if isinstance(ports, str) else merge_ranges(map(_checked_range, ports))
        named = tuple(sorted((checked_name(k), _count(k, v)) for k, v in (counts or {}).items() if v))
        return cls(
            parse_cpus(cpus),
            parse_bytes("memory", memory),
            parse_bytes("disk", disk),
            _count("gpus", gpus),
            named,
            ranges,
        )

    @classmethod
    def parse(cls, text: str) -> Resources:
        """Resources from ``"cpus=8;memory=32GiB;disk=1TiB;ports=31000-32000;gpus=2;licences=3"``.

        Raises `InvalidInput` naming the part that is wrong.
        """
        values: dict[str, str] = {}
        for part in filter(None, (piece.strip() for piece in text.split(";"))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                raise InvalidInput(f"resources: {part!r} is not NAME=AMOUNT, for example cpus=8")
            if name in values:
                raise InvalidInput(f"resources: {name!r} is given twice; give it once")
            values[name] = value
        cpus, memory, disk = values.pop("cpus", "0"), values.pop("memory", "0"), values.pop("disk", "0")
        ports = values.pop("ports", "")
        gpus = _count("gpus", values.pop("gpus", "0"))
        counts = {checked_name(name): _count(name, value) for name, value in values.items()}
        return cls.of(cpus=_float("cpus", cpus), memory=memory, disk=disk, gpus=gpus, counts=counts, ports=ports)

    # -- arithmetic -------------------------------------------------------------------------------------------

    # Whole hosts are offered and given back again and again: the same object goes in and out, and costs nothing.

    def __add__(self, other: Resources) -> Resources:
        if self is NOTHING:
            return other
        if other is NOTHING:
            return self
        return Resources(
            self.cpus + other.cpus,
            self.memory + other.memory,
            self.disk + other.disk,
            self.gpus + other.gpus,
            _add_counts(self.counts, other.counts) if other.counts else self.counts,
            merge_ranges(self.ports + other.ports) if other.ports else self.ports,
        )

    def __sub__(self, other: Resources) -> Resources:
        """The difference. Raises ValueError where `other` is not contained: a ledger never goes below zero."""
        if other is self:
            return NOTHING
        if other is NOTHING:
            return self
        rest = Resources(
            self.cpus - other.cpus,
            self.memory - other.memory,
            self.disk - other.disk,
            self.gpus - other.gpus,
            _subtract_counts(self.counts, other.counts) if other.counts else self.counts,
            _subtract_ranges(self.ports, other.ports) if other.ports else self.ports,
        )
        if rest.cpus < 0 or rest.memory < 0 or rest.disk < 0 or rest.gpus < 0:
            raise ValueError(f"{other} is not contained in {self}")
        return rest

    def contains(self, other: Resources) -> bool:
        """Whether every part of `other` fits in this, port by port."""
        return (
            self.cpus >= other.cpus
            and self.memory >= other.memory
            and self.disk >= other.disk
            and self.gpus >= other.gpus
            and (not other.counts or _contains_counts(self.counts, other.counts))
            and (not other.ports or _contains_ranges(self.ports, other.ports))
        )

    def minus_up_to(self, other: Resources) -> Resources:
        """The difference where it is positive, nothing where it is not (for a host that shrank)."""
        if other is NOTHING:
            return self
        cpus, memory = self.cpus - other.cpus, self.memory - other.memory
        disk, gpus = self.disk - other.disk, self.gpus - other.gpus
        counts = self.counts
        if counts and other.counts:
            theirs = dict(other.counts)
            counts = tuple((name, n - theirs.get(name, 0)) for name, n in counts if n > theirs.get(name, 0))
        return Resources(
            cpus if cpus > 0 else 0,
            memory if memory > 0 else 0,
            disk if disk > 0 else 0,
            gpus if gpus > 0 else 0,
            counts,
            _minus_up_to_ranges(self.ports, other.ports) if other.ports else self.ports,
        )

    def without_ports(self) -> Resources:
        """Only what can be summed over hosts: every host has the same ports."""
        return Resources(self.cpus, self.memory, self.disk, self.gpus, self.counts) if self.ports else self

    # -- views ------------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not (
            self.cpus or self.memory or self.disk or self.gpus or self.ports or any(n for _, n in self.counts)
        )

    def count(self, name: str) -> int:
        """How many of the named count there are."""
        return next((n for key, n in self.counts if key == name), 0)

    def scalars(self) -> Iterator[tuple[str, int]]:
        """Every resource that is a number, as ``(name, amount)``; ports are not. Zero amounts are left out."""
        if self.cpus:
            yield "cpus", self.cpus
        if self.memory:
            yield "memory", self.memory
        if self.disk:
            yield "disk", self.disk
        if self.gpus:
            yield "gpus", self.gpus
        yield from self.counts

    def port_count(self) -> int:
        """How many ports there are."""
        return sum(last - first + 1 for first, last in self.ports)

    def has_port(self, port: int) -> bool:
        """Whether this very port is among them."""
        return any(first <= port <= last for first, last in self.ports)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resources):
            return NotImplemented
        return (
            self.cpus == other.cpus
            and self.memory == other.memory
            and self.disk == other.disk
            and self.gpus == other.gpus
            and self.counts == other.counts
            and self.ports == other.ports
        )

    def __hash__(self) -> int:
        return hash((self.cpus, self.memory, self.disk, self.gpus, self.counts, self.ports))

    def __bool__(self) -> bool:
        return not self.empty

    def __str__(self) -> str:
        parts = [format_amount(name, amount) for name, amount in self.scalars()]
        if self.ports:
            parts.append(f"ports={format_ports(self.ports)}")
        return ";".join(parts) or "nothing"

    def __repr__(self) -> str:
        return f"Resources({str(self)!r})"


NOTHING: Final = Resources()


# -- units ----------------------------------------------------------------------------------------------------


def parse_cpus(cores: float | int) -> int:
    """Milli-CPUs from cores; exact to a thousandth. Raises `InvalidInput`."""
    if isinstance(cores, bool) or not isinstance(cores, (int, float)):
        raise InvalidInput(f"cpus: {cores!r} is not a number, for example 0.5 or 8")
    milli = cores * 1000
    rounded = round(milli) if 0 <= milli < 1e12 else -1  # not for NaN or infinity either
    if abs(milli - rounded) > 1e-6 or rounded < 0:
        raise InvalidInput(f"cpus: {cores!r} must be 0 or more, in steps of 0.001")
    return rounded


def parse_bytes(field: str, amount: str | int) -> int:
    """Bytes from ``"512MiB"``, ``"1.5 GiB"``, ``"10G"`` or a number of bytes. Raises `InvalidInput`."""
    if isinstance(amount, int) and not isinstance(amount, bool):
        if amount < 0:
            raise InvalidInput(f"{field}: {amount} must not be negative")
        return amount
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(amount).strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or ("." in match[1] and unit == 1):  # half a byte: the unit was forgotten
        raise InvalidInput(f"{field}: {amount!r} is not a size; write for example 512MiB or 2GiB")
    return round(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def format_cpus(milli: int) -> str:
    """Cores, without trailing zeros: ``0.5``, ``8``."""
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".")


def format_bytes(amount: int) -> str:
    """The largest binary unit that keeps it exact or within a tenth: ``512MiB``, ``1.5GiB``."""
    for unit, size in (("TiB", 1 << 40), ("GiB", GIB), ("MiB", MIB), ("KiB", 1 << 10)):
        if amount >= size:
            return f"{amount / size:.1f}".removesuffix(".0") + unit
    return f"{amount}B"


def format_amount(name: str, amount: int) -> str:
    """One of the ``(name, amount)`` pairs of `scalars`: ``cpus=0.5``, ``memory=2GiB``, ``gpus=1``."""
    if name == "cpus":
        return f"cpus={format_cpus(amount)}"
    return f"{name}={format_bytes(amount) if name in ('memory', 'disk') else amount}"


# -- ports ----------------------------------------------------------------------------------------------------


def parse_ports(text: str) -> tuple[tuple[int, int], ...]:
    """Ranges from ``"31000-31999,80"``. Raises `InvalidInput`."""
    ranges = []
    for part in filter(None, (piece.strip() for piece in text.strip("[]").split(","))):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if match is None:
            raise InvalidInput(f"ports: {part!r} is not a port or a range, for example 31000-32000")
        ranges.append(_checked_range((int(match[1]), int(match[2] or match[1]))))
    return merge_ranges(ranges)


def _checked_range(ports: tuple[int, int]) -> tuple[int, int]:
    first, last = ports
    if not 1 <= first <= last <= 65535:
        raise InvalidInput(f"ports: {first}-{last} is not a port or a range within 1-65535, for example 31000-32000")
    return ports


def format_ports(ranges: Iterable[tuple[int, int]]) -> str:
    """``"80,31000-31999"``."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sorted ranges with touching and overlapping ones made one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _subtract_ranges(
    ranges: tuple[tuple[int, int], ...], taken: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    if not _contains_ranges(ranges, taken):
        raise ValueError(f"ports {format_ports(taken)} are not contained in {format_ports(ranges)}")
    return _minus_up_to_ranges(ranges, taken)


def _minus_up_to_ranges(
    ranges: tuple[tuple[int, int], ...], taken: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    left = list(ranges)
    for low, high in taken:
        kept: list[tuple[int, int]] = []
        for first, last in left:
            if last < low or first > high:
                kept.append((first, last))
                continue
            if first < low:
                kept.append((first, low - 1))
            if last > high:
                kept.append((high + 1, last))
        left = kept
    return tuple(left)


def _contains_ranges(ranges: tuple[tuple[int, int], ...], wanted: tuple[tuple[int, int], ...]) -> bool:
    return all(any(first <= low and high <= last for first, last in ranges) for low, high in wanted)


# -- counts ---------------------------------------------------------------------------------------------------


def _add_counts(mine: tuple[tuple[str, int], ...], theirs: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    total = dict(mine)
    for name, n in theirs:
        total[name] = total.get(name, 0) + n
    return tuple(sorted(total.items()))


def _subtract_counts(
    mine: tuple[tuple[str, int], ...], theirs: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    left = dict(mine)
    for name, n in theirs:
        rest = left.get(name, 0) - n
        if rest < 0:
            raise ValueError(f"{name}={n} is not contained in {name}={left.get(name, 0)}")
        if rest:
            left[name] = rest
        else:
            left.pop(name, None)
    return tuple(sorted(left.items()))


def _contains_counts(mine: tuple[tuple[str, int], ...], theirs: tuple[tuple[str, int], ...]) -> bool:
    have = dict(mine)
    return all(have.get(name, 0) >= n for name, n in theirs)


def checked_name(name: str) -> str:
    """The name of a count itself. Raises `InvalidInput` for one that is a resource's, or cannot be written."""
    if not _NAME.fullmatch(name) or name in ("cpus", "memory", "disk", "gpus", "ports", "mem", "cpu"):
        hint = {"mem": "write memory", "cpu": "write cpus"}.get(name, "use lower-case letters, digits, '_', '.', '-'")
        raise InvalidInput(f"resources: {name!r} is not a name for a count; {hint}")
    return name


def _count(name: str, value: int | str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0 or isinstance(value, float):
        raise InvalidInput(f"{name}: {value!r} must be a whole number, 0 or more")
    return number


def _float(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidInput(f"{name}: {value!r} is not a number, for example 0.5 or 8") from None
