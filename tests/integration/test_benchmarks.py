"""The benchmarks, small: each prints one JSON object with the figures it is documented to have, and draws them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarking import benchmark, drawn, run


@pytest.fixture
def plot(tmp_path: Path) -> Path:
    """Where to draw."""
    return tmp_path / "plot.svg"


def test_placement(plot: Path) -> None:
    result = run("placement", "--executors", "10", "--tasks", "500", "--plot", str(plot))
    assert result["executors"] == 10 and result["tasks"] == 500 and result["tasks_per_second"] > 0
    assert 0 < result["share_of_echo"] and result["launch_ms"]["p50"] <= result["launch_ms"]["p99"]
    assert drawn(plot)


def test_placement_among_several_frameworks(plot: Path) -> None:
    shared = ("--executors", "10", "--tasks", "500", "--frameworks", "3")
    result = run("placement", *shared, "--plot", str(plot))
    assert result["frameworks"] == 3 and result["tasks_per_second"] > 0 and drawn(plot)


def test_scale(plot: Path) -> None:
    result = run("scale", "--axis", "frameworks", "--at-most", "200", "--plot", str(plot))
    assert [row["frameworks"] for row in result["frameworks"]] == [1, 3, 10, 30, 100]
    assert all(row["tasks"] == 200 and row["tasks_per_second"] > 0 for row in result["frameworks"]) and drawn(plot)


def test_placement_revive(plot: Path) -> None:
    result = run("placement", "--revive", "--executors", "10", "--plot", str(plot))
    assert min(result["all_ms"]) <= result["revive_ms"] <= max(result["all_ms"]) and drawn(plot)


@pytest.mark.parametrize("policy", ["pack", "best-fit", "spread"])
def test_fill(policy: str, plot: Path) -> None:
    result = run("fill", "--policy", policy, "--pods", "gpuspec10", "--gpus", "--plot", str(plot))
    assert result["placed"] > 0 and 0 < result["placed_share"] <= 1
    assert result["hosts_used"] > 0 and result["offers_per_task"] > 0 and result["seconds"] > 0
    assert result["same_placements"], "through offers it places otherwise than in a plain loop"
    assert drawn(plot)


def test_replay(plot: Path) -> None:
    result = run("replay", "--hours", "0.02", "--hosts", "8", "--plot", str(plot))
    for part in ("free", "contended"):
        frameworks = result[part]["frameworks"]
        assert len(frameworks) == 4 and result[part]["tasks_launched"] > 0
        assert sum(each["finished"] for each in frameworks) == result[part]["tasks_launched"]
    assert drawn(plot)


def test_many_frameworks(plot: Path) -> None:
    result = run("many_frameworks", "--load", "0.02", "--plot", str(plot))
    assert result["frameworks"] == 164 and result["tasks"] > 0 and result["wait_p99_ms"]["worst"] >= 0
    assert drawn(plot)


def test_sim_50k_is_the_same_every_time(plot: Path) -> None:
    small = ("sim_50k", "--hours", "0.01", "--copies", "1")
    result = run(*small, "--plot", str(plot))
    assert result["finished"] == result["tasks"] > 0 and result["hosts"] == 1523
    assert result["log_hash"] == run(*small)["log_hash"] and drawn(plot)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sim_50k", "--hours", "nan"], "'--hours': 'nan' is not a number"),
        (["replay", "--hours", "13"], "'--hours': 13.0 is not in the range"),
        (["placement", "--executors", "1", "--tasks", "641"], "641 tasks do not fit on 1 hosts"),
        (["fill"], "OFFERER_TRACES: '/nowhere' has no directory openb"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], said: str) -> None:
    done = benchmark(*arguments, OFFERER_TRACES="/nowhere")
    assert done.returncode and said in done.stderr and "Traceback" not in done.stderr


def test_c2m(plot: Path) -> None:
    result = run("c2m", "--jobs", "5", "--tasks", "40", "--hosts", "20", "--plot", str(plot))
    assert result["tasks"] == 200 and result["tasks_per_second"] > 0 and result["seconds"] > 0
    assert result["rss_mib"] > 0 and drawn(plot)


@pytest.mark.parametrize("roles", ["one", "each"])
def test_allocate(roles: str, plot: Path) -> None:
    result = run("allocate", "--hosts", "40", "--frameworks", "3", "--roles", roles, "--plot", str(plot))
    (row,) = result["rows"]
    assert row["hosts"] == 40 and row["frameworks"] == 3
    assert all(row[key] >= 0 for key in ("first_s", "cycle_s", "refused_s", "offers_per_s"))
    assert drawn(plot)


def test_planning(plot: Path) -> None:
    result = run("planning", "--environments", "1", "--hosts", "10", "--plot", str(plot))
    assert result["tasks"] == result["services"] == 64 and result["planner_s"] > 0 and drawn(plot)
