"""Plots of benchmarks: drawn as SVG, and what stands in their way is said before anything is measured."""

from __future__ import annotations

import sys

import click
import pytest

from benchmarks.plots import check_plot, draw


def test_without_matplotlib_the_way_to_get_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(click.ClickException, match=r"pip install 'offerer\[sim\]'"):
        check_plot(tmp_path / "x.svg")
    check_plot(None)


def test_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(click.ClickException, match="there is no such directory"):
        check_plot(tmp_path / "nowhere" / "x.svg")
    check_plot(tmp_path / "x.svg")
    draw(tmp_path / "x.svg", [("hosts", "seconds", {"a": [(1, 2), (3, 4)], "b": [(1, 1)]})], log="xy")
    assert (tmp_path / "x.svg").read_text().lstrip().startswith("<?xml")
