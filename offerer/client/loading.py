"""Finding a plug-in: by its entry-point name (group ``offerer.frameworks``) or as ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import offerer
from offerer.errors import InvalidInput
from offerer.framework import Framework

GROUP = "offerer.frameworks"
EXIT_WRONG = 78
"""Exit code of a framework process that would fail the same way again (EX_CONFIG of sysexits.h)."""
_PACKAGES: Final = Path(offerer.__file__).parent.parent
_NOT_OF_PLUGINS: Final = (
    *(f"{_PACKAGES / name}{os.sep}" for name in ("offerer", "executor")), "<frozen", str(importlib.__file__)
)  # fmt: skip


def load_framework(
    plugin: str, options: Mapping[str, str] | None = None, directory: Path | None = None
) -> Framework:
    """An instance of the plug-in, made with these options as keyword arguments. Raises `InvalidInput`.

    Its module may lie in the working directory or in `directory`.
    """
    kind = _load_class(plugin, directory)
    try:
        framework = kind(**dict(options or {}))
    except (TypeError, ValueError, LookupError) as error:
        wrong = f"{plugin}: cannot be made with these options: {explain(error)}"
        raise InvalidInput(f"{wrong}; its options are {_options_of(kind)}") from None
    if not isinstance(framework, Framework):
        raise InvalidInput(f"{plugin}: {kind.__name__} is not a subclass of offerer.Framework")
    if not framework.name:
        raise InvalidInput(f"{plugin}: the class has no name; set `name = \"…\"` in it or pass --name")
    return framework


def plugin_frames(error: BaseException) -> traceback.StackSummary:
    """Where a plug-in raised this, from its first frame on; empty where no plug-in did."""
    frames = traceback.extract_tb(error.__traceback__)
    own = (n for n, frame in enumerate(frames) if not frame.filename.startswith(_NOT_OF_PLUGINS))
    return traceback.StackSummary.from_list(frames[next(own, len(frames)) :])


def explain(error: BaseException) -> str:
    """What a plug-in raised, and in which line of its own, in one line."""
    frames = plugin_frames(error)
    at = f" ({frames[0].filename}, line {frames[0].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{at}"


def _options_of(kind: Any) -> str:
    try:
        return ", ".join(inspect.signature(kind).parameters) or "none"
    except (TypeError, ValueError):
        return "unknown"


def _load_class(plugin: str, directory: Path | None) -> Any:
    module_name, colon, class_name = plugin.partition(":")
    if not colon:
        found = list(metadata.entry_points(group=GROUP, name=plugin))
        if not found:
            known = ", ".join(sorted(entry.name for entry in metadata.entry_points(group=GROUP))) or "none"
            raise InvalidInput(f"framework {plugin!r}: no such plug-in is installed (installed: {known}); "
                               "name one of them, or give package.module:Class")  # fmt: skip
        module_name, _, class_name = found[0].value.partition(":")
    for place in (Path.cwd(), directory):
        if place is not None and str(place.absolute()) not in sys.path:
            sys.path.insert(0, str(place.absolute()))  # as `python -m` does: a plug-in there can be named
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        raise InvalidInput(f"framework {plugin!r}: {error.filename}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            wrong = f"{error}; is its package installed, or PYTHONPATH set?"
        else:
            wrong = f"{module_name} cannot be imported: {explain(error)}"
        raise InvalidInput(f"framework {plugin!r}: {wrong}") from None
    if not hasattr(module, class_name):
        raise InvalidInput(f"framework {plugin!r}: module {module_name} has no {class_name!r}")
    return getattr(module, class_name)
