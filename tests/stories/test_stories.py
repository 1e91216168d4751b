"""Every story beside this file happens as it is written. ``pytest --bless`` rewrites what happened; read the diff."""

from pathlib import Path

import pytest
from story_language import run_story


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in sorted(Path(__file__).parent.glob("*.txt"))]
)
def test_the_story_happens_as_it_is_written(path, request):
    written, really = run_story(path)
    if request.config.getoption("--bless"):
        path.write_text(really)
        return
    assert really == written
