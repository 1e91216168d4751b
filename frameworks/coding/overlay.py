"""An overlay, merged over a service file: ``core.staging.yaml`` over ``core.yaml``. And plain data to YAML again.

Mappings are merged, anything else replaces what was there, and a field without a value (``replicas:``) takes it away.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from frameworks.coding.source import Path, Problem, Source, scalar_patterns

_ODD_BREAKS: Final = re.compile("[\x85\u2028\u2029\ufeff]")  # line breaks to some readers; in quotes they are escaped


def merge(base: Source, over: Source, file: str) -> Source:
    """One source that says what both do, and of each value in which file and line it is. `file` is the overlay's."""
    problems = [problem._replace(file=file) for problem in over.problems]
    if not isinstance(base.data, dict) or not isinstance(over.data, dict):
        if over.data is not None and not isinstance(over.data, dict):
            problems.append(Problem(1, (), "an overlay holds fields, as the file that it goes over", file))
        return base._replace(problems=[*base.problems, *problems])
    replaced: set[Path] = set()
    data = _merged(base.data, over, (), replaced, problems, file)
    kept = {path: line for path, line in base.lines.items() if not _within(path, replaced)}
    added = {path: line for path, line in over.lines.items() if _within(path, replaced)}
    written = {path: text for path, text in base.written.items() if path in kept}
    written |= {path: text for path, text in over.written.items() if path in added}
    return Source(data, kept | added, written, [*base.problems, *problems], dict.fromkeys(added, file))


def _merged(
    base: dict[str, Any], over: Source, path: Path, replaced: set[Path], problems: list[Problem], file: str
) -> dict[str, Any]:
    found = dict(base)
    data = over.data
    for part in path:
        data = data[part]
    for name, value in data.items():
        here = (*path, name)
        if isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = _merged(found[name], over, here, replaced, problems, file)
            continue
        replaced.add(here)
        if value is not None:
            found[name] = value
        elif found.pop(name, None) is None:
            message = "there is nothing to take away; give a value, or leave it out"
            problems.append(Problem(over.line_of(here), here, message, file))
    return found


def _within(path: Path, places: set[Path]) -> bool:
    """Whether it is one of these places, or below one."""
    return any(path[:length] in places for length in range(1, len(path) + 1))


def render(data: object) -> str:
    """YAML that every reader of YAML takes for the same data, whichever version of YAML it knows."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 takes for something else than text too, and indents lists as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, '"' if _ODD_BREAKS.search(text) else None)


_Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first in scalar_patterns():
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern), _first)
