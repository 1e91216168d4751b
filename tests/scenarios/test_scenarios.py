"""Every script beside this file gives the output written in it. ``pytest --bless`` rewrites it; read the diff.

The scripts whose names begin with a, x or s are the tables of Mesos's allocator tests: A01 to A40 and X01 the
allocator, S01 to S04 the sorter. Not here: row 4 of A15, which holds reservations. Every table without reservations,
revocable resources or nested roles is here whole.
"""

from pathlib import Path

import pytest
from scenario_language import run_script
from sorter_language import run_sorter_script

_HERE = Path(__file__).parent
_RUNNERS = [(run_script, sorted(_HERE.glob("*.txt"))), (run_sorter_script, sorted((_HERE / "sorter").glob("*.txt")))]


@pytest.mark.parametrize(
    ("run", "path"), [pytest.param(run, path, id=path.stem) for run, paths in _RUNNERS for path in paths]
)
def test_the_script_gives_the_output_written_in_it(run, path, request):
    written, really = run(path)
    if request.config.getoption("--bless"):
        path.write_text(really)
        return
    assert really == written
