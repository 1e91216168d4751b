"""What commands print: the same facts as a table in a pipe, on a terminal, and as JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence

import pytest

from offerer import SECOND, Resources
from offerer.cli.output import Column, Row, age, amounts_text, print_fields, print_table, resources_json, resources_text

ROWS: Sequence[Row] = [
    {"task": "core/web/1", "state": "RUNNING", "cpus": 0.5, "ports": [80, 443]},
    {"task": "core/[db]", "state": "FAILED", "cpus": 12, "ports": []},
]
COLUMNS = [
    Column("TASK", "task"),
    Column("STATE", "state"),
    Column("CPUS", lambda row: f"{row['cpus']:g}", right=True),
    Column("PORTS", "ports"),
]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_plain_text_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ROWS, COLUMNS)
    assert capsys.readouterr().out == (
        "TASK        STATE    CPUS  PORTS\n"
        "core/web/1  RUNNING   0.5  80, 443\n"
        "core/[db]   FAILED     12  -\n"
    )


def test_a_table_on_a_terminal_shows_the_same_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(ROWS, COLUMNS)
    shown = terminal.getvalue()
    assert "\x1b[32mRUNNING" in shown and "\x1b[31mFAILED" in shown
    assert "core/[db]" in shown  # brackets are text, not mark-up


def test_json_is_the_rows_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ROWS, COLUMNS, as_json=True)
    assert json.loads(capsys.readouterr().out) == list(ROWS)


def test_no_rows_is_a_word_on_stderr_and_an_empty_list_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], COLUMNS, empty="no tasks")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no tasks\n")
    print_table([], COLUMNS, as_json=True, empty="no tasks")
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ([], "")


def test_one_thing_is_printed_as_indented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    mounts = [{"source": "/x", "ro": True}]
    print_fields({"task": "a", "tied": False, "env": {"A": "1"}, "mounts": mounts, "none": None})
    assert capsys.readouterr().out == (
        "task:   a\n"
        "tied:   no\n"
        "env:\n"
        "  A: 1\n"
        "mounts:\n"
        "- source: /x\n"
        "  ro:     yes\n"
        "none:   -\n"
    )


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ("cpus=0.5;memory=256MiB;ports=31000-31999", "0.5 cpus, 256MiB, ports 31000-31999"),
        ("cpus=8;memory=32GiB;disk=1TiB;gpus=2;ports=80", "8 cpus, 32GiB, 1TiB disk, 2 gpus, port 80"),
        ("licences=3;ports=80,90", "3 licences, ports 80,90"),
        ("", "-"),
    ],
)
def test_resources_for_people(resources: str, text: str) -> None:
    assert resources_text(Resources.parse(resources)) == text


def test_resources_for_programs() -> None:
    assert resources_json(Resources.parse("cpus=1.5;memory=1KiB;gpus=1;ports=1-2,5")) == {
        "cpus": 1.5,
        "memory": 1024,
        "gpus": 1,
        "ports": "1-2,5",
    }
    assert amounts_text({"cpus": 0, "gpus": 0}, zeros=True) == "0 cpus, 0 gpus"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (12000, "3h20m"), (90000, "1d"), (-5, "0s")],
)
def test_ages(seconds: int, text: str) -> None:
    assert age(1_000_000 * SECOND, (1_000_000 + seconds) * SECOND) == text
    assert age(0) == "-"
