"""What decides cannot touch the world. The import contracts in setup.cfg follow imports; this reads the code itself.

It holds every file to it that is named here by directory, so a module added tomorrow is held to it too, and it finds
what needs no import: a call of `open` or `print`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORLD = frozenset(
    "asyncio concurrent ctypes datetime docker fcntl grpc http importlib io logging multiprocessing os pathlib psutil "
    "random secrets select shutil socket sqlite3 ssl subprocess sys tempfile threading time urllib uuid".split()
)
CALLS = frozenset({"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "hash"})
"""`hash` of a string differs from run to run, so that a decision that uses it is not the same twice."""
PURE = sorted(
    [
        *ROOT.glob("offerer/core/*.py"),
        *ROOT.glob("offerer/allocator/*.py"),
        ROOT / "frameworks/journal.py",
        *(path for path in ROOT.glob("frameworks/*/*.py") if path.name != "__init__.py"),
        *(ROOT / "executor" / f"{name}.py" for name in ("allow", "health", "lifecycle", "records", "spec", "statuses")),
        *(
            ROOT / "offerer" / f"{name}.py"
            for name in (
                "constraints", "container_checks", "containers", "errors", "framework", "ids", "patterns",
                "resources", "store/protocol", "task_states", "types",
            )
        ),
    ]
)  # fmt: skip


def offences(code: str) -> Iterator[str]:
    """Everything in this code that touches the world, as ``line: what``."""
    tree = ast.parse(code)
    own_hash = {
        id(call)
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef) and method.name == "__hash__"
        for call in ast.walk(method)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            if id(node) not in own_hash:
                yield f"{node.lineno}: calls {node.func.id}"
            continue
        else:
            continue
        yield from (f"{node.lineno}: imports {name}" for name in named if name.partition(".")[0] in WORLD)


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_touches_nothing_but_its_arguments(path: Path) -> None:
    assert list(offences(path.read_text())) == []


def test_the_check_finds_what_it_looks_for() -> None:
    code = "import os.path, re\ndef f():\n    from time import time\n    open('x')\n    import json\nhash('a')\n"
    assert sorted(offences(code)) == ["1: imports os.path", "3: imports time", "4: calls open", "6: calls hash"]
    assert len(PURE) > 40
