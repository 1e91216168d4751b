"""Runs benchmarks, small ones, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import ROOT

_WITHIN = 240


def benchmark(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One that has run to its end."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=_WITHIN, check=False
    )


def run(name: str, *arguments: str) -> Any:
    """What it says on standard output, read as one JSON object."""
    done = benchmark(name, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def drawn(plot: Path) -> bool:
    """Whether there is a picture."""
    return "<svg" in plot.read_text()
