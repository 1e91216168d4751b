"""What the benchmarks share: quantiles, memory, and one JSON object at the end."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import psutil
import yaml


class FloatRange(click.FloatRange):
    """One without `nan`, which compares with nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As there."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1000, 2) for name, q in
            (("p50", 0.5), ("p99", 0.99))}  # fmt: skip


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    return round(float(psutil.Process(pid).memory_info().rss) / (1 << 20), 1)


def progress(line: str) -> None:
    """For people, on standard error."""
    print(line, file=sys.stderr, flush=True)


def report(result: Mapping[str, Any], as_json: bool) -> None:
    """The result, as one JSON object, or as YAML for people."""
    if as_json:
        print(json.dumps(result))
    else:
        print(yaml.safe_dump(dict(result), sort_keys=False, width=120, default_flow_style=None), end="")
