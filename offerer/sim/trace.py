"""A trace of arrivals: a CSV file, one line for so many equal tasks. docs/SIMULATOR.md describes its columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from offerer.errors import InvalidInput
from offerer.resources import MIB, Resources
from offerer.sim.workload import Arrival
from offerer.sim.world import START
from offerer.types import SECOND

_COLUMNS: Final = ("submit_time", "duration", "cpu", "memory", "instances_num")
_STEP: Final = 64 * MIB  # memory is rounded up to these
_MOST: Final = 1e9  # of seconds, cores and tasks


def read_trace(path: Path, machine: int) -> Iterator[Arrival]:
    """The arrivals; memory is a share of a machine with so many bytes. Raises `InvalidInput`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            for column in _COLUMNS:
                if column not in (rows.fieldnames or ()):
                    wanted = f"name {', '.join(_COLUMNS)} there, with commas between"
                    raise InvalidInput(f"{path}, line 1: there is no column {column}; {wanted}")
            for row in rows:
                try:
                    yield _arrival(row, machine)
                except InvalidInput as error:
                    raise InvalidInput(f"{path}, line {rows.line_num}, {error}") from None
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path}: not CSV in UTF-8: {error}") from None


def _arrival(row: Mapping[str, str | None], machine: int) -> Arrival:
    cpu, memory = _number(row, "cpu", _MOST), _number(row, "memory", 1)
    resources = Resources(round(cpu * 1000), -(-round(memory * machine) // _STEP) * _STEP)
    if resources.empty:
        raise InvalidInput("columns cpu and memory: both are 0; give the tasks some of one")
    at, run_for = _number(row, "submit_time", _MOST), _number(row, "duration", _MOST)
    tasks = _number(row, "instances_num", _MOST)
    if tasks < 1 or tasks % 1:
        raise InvalidInput(f"column instances_num: {row['instances_num']!r} must be a whole number, 1 or more")
    return Arrival(START + round(at * SECOND), int(tasks), resources, round(run_for * SECOND))


def _number(row: Mapping[str, str | None], column: str, most: float) -> float:
    text = row[column]
    try:
        number = float(text or "")
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise InvalidInput(f"column {column}: {text or ''!r} must be a number from 0 to {most:.0f}")
    return number
