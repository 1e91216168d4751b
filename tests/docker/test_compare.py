"""The comparison with Docker Swarm and docker run, with few containers; it starts an engine of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import missing
from tests.processes import ROOT


@pytest.mark.skipif(bool(missing()) and os.environ.get("CI") != "true", reason=missing())
def test_compare(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.compare", "--containers", "2", "--json"]
    plot = tmp_path / "plot.svg"
    done = subprocess.run([*command, "--plot", str(plot)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for name in ("docker", "swarm", "offerer"):
        assert all(result[name][key] > 0 for key in ("up_s", "heal_s", "update_s"))
    assert "<svg" in plot.read_text()
