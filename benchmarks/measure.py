"""What the benchmarks share: quantiles, memory, and one JSON object at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psutil


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
    """The result, as one JSON object or as lines."""
    if as_json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for key, value in result.items():
        print(f"{key:<{width}}  {value}")
