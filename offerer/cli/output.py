"""What commands print: tables (rich on a terminal, aligned text in a pipe, JSON where asked), amounts and ages."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import click

from offerer.resources import Resources, format_bytes, format_cpus, format_ports
from offerer.types import SECOND, Time

Row = Mapping[str, Any]
T = TypeVar("T")

_STYLES: Final = {
    "RUNNING": "green", "active": "green", "FINISHED": "green", "connected": "green",
    "STAGING": "yellow", "STARTING": "yellow", "KILLING": "yellow", "UNREACHABLE": "yellow",
    "recovering": "yellow", "unreachable": "yellow", "waiting": "yellow", "cordoned": "yellow", "draining": "yellow",
    "FAILED": "red", "ERROR": "red", "DROPPED": "red", "GONE": "red", "away": "red",
}  # fmt: skip
_TIMES: Final = frozenset({"at", "ended", "placed", "pushed_at", "since", "started", "started_at"})
_BYTES: Final = frozenset({"disk", "memory", "shm_size"})
_COMMANDS: Final = frozenset({"command", "entrypoint"})
_AGES: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class Column(NamedTuple):
    """A column of a table: its title, and the key of a row, or a function of a row, that gives the cell."""

    title: str
    cell: str | Callable[[Row], object]
    right: bool = False
    """Whether it is aligned to the right, as numbers are."""


def print_json(document: object) -> None:
    """One JSON document on stdout; what is not JSON becomes a string."""
    click.echo(json.dumps(document, indent=2, default=str, ensure_ascii=False))


def print_table(rows: Sequence[Row], columns: Sequence[Column], *, as_json: bool = False, empty: str = "") -> None:
    """Print rows as a table, or the rows themselves as JSON. With no rows, `empty` goes to stderr.

    States that people look for (RUNNING, FAILED, …) are coloured on a terminal.
    """
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        if empty:
            click.echo(empty, err=True)
        return
    cells = [[_cell(row, column) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_rich(cells, columns)
    else:
        for line in aligned([[column.title for column in columns], *cells], [column.right for column in columns]):
            click.echo(line)


def aligned(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Cells padded to columns two blanks apart, one string per line, without trailing blanks."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(right))]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def print_fields(document: Mapping[str, object], *, as_json: bool = False) -> None:
    """Print one thing as ``name: value`` lines, or as JSON; nested values as indented lines."""
    if as_json:
        print_json(document)
        return
    for line in _field_lines(document, ""):
        click.echo(line)


def _field_lines(document: Mapping[str, object], indent: str) -> list[str]:
    width = max((len(key) for key in document), default=0) + 1
    lines = []
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:", *_field_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            lines.append(f"{indent}{key}:")
            for each in value:
                nested = _field_lines(each, "") if isinstance(each, Mapping) else [str(each)]
                lines += [f"{indent}{'- ' if i == 0 else '  '}{line}" for i, line in enumerate(nested)]
        else:
            lines.append(f"{indent}{(key + ':').ljust(width)} {_text(value)}".rstrip())
    return lines


@contextmanager
def live(
    lines: Callable[[T], None], line: Callable[[T], str], *, quiet: bool = False
) -> Iterator[Callable[[T], None]]:
    """How far something is, each time it is given: on a terminal `line` of it, which changes; elsewhere `lines` prints
    what is new about it.
    """
    if quiet:
        yield lambda _: None
    elif not sys.stdout.isatty():
        yield lines
    else:
        from rich.console import Console

        with Console().status("…") as spinner:
            yield lambda told: spinner.update(line(told).replace("[", r"\["))


def write_output(output: Iterable[tuple[bool, bytes]]) -> None:
    """Pass on what a task wrote, as it comes: its stdout to stdout and its stderr to stderr."""
    for is_stderr, data in output:
        stream = sys.stderr.buffer if is_stderr else sys.stdout.buffer
        stream.write(data)
        stream.flush()


# -- amounts and ages -----------------------------------------------------------------------------------------


def resources_text(resources: Resources) -> str:
    """``0.5 cpus, 256MiB, ports 31000-31999``; ``-`` for nothing."""
    return amounts_text(resources_json(resources))


def amounts_text(amounts: Mapping[str, Any], *, zeros: bool = False) -> str:
    """The same from what `resources_json` gives; with `zeros`, amounts of 0 are told too."""
    told = [_amount_text(name, amount) for name, amount in amounts.items() if amount or zeros]
    return ", ".join(told) or "-"


def _amount_text(name: str, amount: Any) -> str:
    match name:
        case "cpus":
            return f"{format_cpus(round(amount * 1000))} cpus"
        case "memory":
            return format_bytes(amount)
        case "disk":
            return f"{format_bytes(amount)} disk"
        case "ports":
            return f"ports {amount}" if "-" in amount or "," in amount else f"port {amount}"
        case _:
            return f"{amount} {name}"


def resources_json(resources: Resources) -> dict[str, object]:
    """For programs: cores as a number, bytes, whole counts, ports as ``"31000-31999,80"``."""
    amounts: dict[str, object] = {"cpus": resources.cpus / 1000, "memory": resources.memory}
    if resources.disk:
        amounts["disk"] = resources.disk
    if resources.gpus:
        amounts["gpus"] = resources.gpus
    amounts.update(resources.counts)
    if resources.ports:
        amounts["ports"] = format_ports(resources.ports)
    return amounts


def age(since: Time, now: Time | None = None) -> str:
    """How long ago, in its largest unit or two: ``5s``, ``12m``, ``3h20m``, ``4d``; ``-`` where it never was."""
    if not since:
        return "-"
    seconds = max(0, (now if now is not None else time.time_ns() // 1000) - since) // SECOND
    for i, (unit, size) in enumerate(_AGES):
        if seconds >= size:
            count, rest = divmod(seconds, size)
            smaller = f"{rest // _AGES[i + 1][1]}{_AGES[i + 1][0]}" if unit == "h" and rest >= 60 else ""
            return f"{count}{unit}{smaller}"
    return "0s"


def clock_text(at: Time) -> str:
    """A time of day in the local time zone, to the millisecond; with the date where it is not today."""
    seconds, micro = divmod(at, SECOND)
    local, today = time.localtime(seconds), time.localtime()
    form = "%H:%M:%S" if local[:3] == today[:3] else "%Y-%m-%d %H:%M:%S"
    return f"{time.strftime(form, local)}.{micro // 1000:03d}"


def readable(value: Any, key: str = "") -> Any:
    """The same with points in time, amounts of bytes and commands as people write them."""
    if isinstance(value, dict):
        return {name: readable(each, name) for name, each in value.items()}
    if isinstance(value, list) and key in _COMMANDS and all(isinstance(each, str) for each in value):
        return shlex.join(value)
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, int) and value and key in _TIMES:
        return clock_text(value)
    return format_bytes(value) if isinstance(value, int) and value and key in _BYTES else value


# -- inside ---------------------------------------------------------------------------------------------------


def _cell(row: Row, column: Column) -> str:
    return _text(row.get(column.cell) if isinstance(column.cell, str) else column.cell(row))


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or "-"
    return str(value)


def _print_rich(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    from rich.console import Console  # here: it takes longer to import than most commands take to run
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in line))
    Console().print(table)
