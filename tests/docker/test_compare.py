"""The comparison with Docker Swarm and docker run, with few containers; it starts an engine of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarking import drawn, run
from tests.engine import missing


@pytest.mark.skipif(bool(missing()) and os.environ.get("CI") != "true", reason=missing())
def test_compare(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    result = run("compare", "--containers", "2", "--plot", str(plot))
    for name in ("docker", "swarm", "offerer"):
        assert all(result[name][key] > 0 for key in ("up_s", "heal_s", "update_s"))
    assert drawn(plot)
