"""Finding a plug-in: by its entry-point name (group ``offerer.frameworks``) or as ``package.module:Class``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from offerer.errors import InvalidInput
from offerer.framework import Framework

GROUP = "offerer.frameworks"
EXIT_WRONG = 78
"""Exit code of a framework process that would fail the same way again (EX_CONFIG of sysexits.h)."""


def load_framework(plugin: str, options: Mapping[str, str] | None = None) -> Framework:
    """An instance of the plug-in, made with these options as keyword arguments. Raises `InvalidInput`."""
    kind = _load_class(plugin)
    try:
        framework = kind(**dict(options or {}))
    except TypeError as error:
        raise InvalidInput(f"{plugin}: cannot be made with these options: {error}; see --set KEY=VALUE") from None
    if not isinstance(framework, Framework):
        raise InvalidInput(f"{plugin}: {kind.__name__} is not a subclass of offerer.Framework")
    if not framework.name:
        raise InvalidInput(f"{plugin}: the class has no name; set `name = \"…\"` in it or pass --name")
    return framework


def _load_class(plugin: str) -> Any:
    module_name, colon, class_name = plugin.partition(":")
    if not colon:
        found = list(metadata.entry_points(group=GROUP, name=plugin))
        if not found:
            known = ", ".join(sorted(entry.name for entry in metadata.entry_points(group=GROUP))) or "none"
            raise InvalidInput(f"framework {plugin!r}: no such plug-in is installed (installed: {known}); "
                               "name one of them, or give package.module:Class")  # fmt: skip
        module_name, _, class_name = found[0].value.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does: a plug-in in the working directory can be named
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise InvalidInput(f"framework {plugin!r}: {error}; is its package installed, or PYTHONPATH set?") from None
    except SyntaxError as error:
        raise InvalidInput(f"framework {plugin!r}: {error.filename}, line {error.lineno}: {error.msg}") from None
    except AttributeError:
        raise InvalidInput(f"framework {plugin!r}: module {module_name} has no {class_name!r}") from None
