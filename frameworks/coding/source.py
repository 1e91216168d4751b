"""YAML text to plain data, keeping the line of every value, so that an error can point at it.

Scalars are resolved as YAML 1.2 does: ``yes``, ``on``, ``12:30`` and ``2016-05-31`` are strings, not a bool, a number
of seconds and a date, as whoever writes them in a service file means them. The rest is PyYAML's safe subset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

Path = tuple[str | int, ...]
"""Where a value is: ``("jobs", "web", "ports", 0)``."""

_MAX_NODES: Final = 100_000  # a few aliases of aliases unfold into billions of values
_MAX_TEXT: Final = 512 << 10  # characters; they take some 2.5 s to read, and nothing else happens meanwhile
_UNUSABLE: Final = re.compile("[\0\ud800-\udfff]")  # neither a command line nor UTF-8 can carry these
_PLAIN: Final = "tag:yaml.org,2002:"


class Problem(NamedTuple):
    """One thing wrong with a service file."""

    line: int
    path: Path
    message: str
    """The value and the fix."""
    file: str = ""
    """Another file that it is in, of those that belong to the service file."""

    def text(self, file: str) -> str:
        """``core.yaml:14: jobs.web.replicas: …``."""
        where, file = field_path(self.path), self.file or file
        return f"{file}:{self.line}: {where}: {self.message}" if where else f"{file}:{self.line}: {self.message}"


class Source(NamedTuple):
    """A parsed file: its data, the line of each value, and each number and bool as it was written."""

    data: Any
    lines: dict[Path, int]
    written: dict[Path, str]
    problems: list[Problem]
    files: dict[Path, str]
    """The file of each value that came from an overlay."""

    def line_of(self, path: Path) -> int:
        """The line of the value, or of the nearest thing around it."""
        return self.lines.get(self._nearest(path), 1)

    def problem(self, path: Path, message: str) -> Problem:
        """That something is wrong with the value of this path."""
        return Problem(self.line_of(path), path, message, self.files.get(self._nearest(path), ""))

    def _nearest(self, path: Path) -> Path:
        while path and path not in self.lines:
            path = path[:-1]
        return path


def field_path(path: Path) -> str:
    """``jobs.web.ports[0].host``."""
    text = ""
    for part in path:
        if isinstance(part, str) and not part.isprintable():
            part = repr(part)  # a line break in a name must not tear the message apart
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, what: str = "service") -> Source:
    """Parse one YAML document. What is wrong with it is in `problems`; with a syntax error the data is None.

    `what` a file holds is its first field too.
    """
    source = Source(None, {}, {}, [], {})
    if len(text) > _MAX_TEXT:
        size = f"{len(text)} characters are more than the {_MAX_TEXT} of a {what} file"
        source.problems.append(Problem(1, (), f"{size}; split it into several {what}s"))
        return source
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        source.problems.append(_syntax_problem(error))
        return source
    except RecursionError:
        source.problems.append(Problem(1, (), f"not a {what} file: brackets within brackets without end"))
        return source
    if len(documents) > 1:
        line = documents[1].start_mark.line + 1
        source.problems.append(Problem(line, (), f"a second document begins here; a file holds one {what}"))
    elif documents and documents[0] is not None:
        source = source._replace(data=_Builder(source).build(documents[0], ()))
    if source.data is None and not source.problems:
        source.problems.append(Problem(1, (), f"the file is empty; it begins with {what}: NAME"))
    return source


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def scalar_patterns() -> Iterator[tuple[str, str, list[str]]]:
    """Tag, pattern and possible first characters of every scalar that is not text."""
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("merge", r"<<", ["<"]),
    ):
        yield _PLAIN + tag, rf"^(?:{pattern})$", first


for _tag, _pattern, _first in scalar_patterns():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


class _Builder:
    """Turns nodes into data. Duplicate keys, odd keys, unknown tags and endless aliases become problems."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._source.lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if id(node) in self._open or self._count > _MAX_NODES:
            if self._count <= _MAX_NODES + 1:
                self._problem(node, path, "an alias (*) contains itself or unfolds without end; write the value out")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            value: Any = [self.build(each, (*path, i)) for i, each in enumerate(node.value)]
        else:
            value = self._mapping(node, path)
        self._open.discard(id(node))
        return value

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN + "merge":
                merged = {**self._merged(value_node, path), **merged}
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in own:
                first = self._source.lines[(*path, key)]
                self._problem(key_node, (*path, key), f"{key!r} is given twice, first in line {first}; keep one")
                continue
            self._source.lines[(*path, key)] = key_node.start_mark.line + 1
            own[key] = self.build(value_node, (*path, key))
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What ``<<: *defaults`` or ``<<: [*a, *b]`` brings in; the first of several wins."""
        if isinstance(node, yaml.MappingNode):
            value = self.build(node, path)
            return value if isinstance(value, dict) else {}
        if isinstance(node, yaml.SequenceNode):
            found: dict[str, Any] = {}
            for each in node.value:
                found = {**self._merged(each, path), **found}
            return found
        self._problem(node, path, "<< takes a mapping, for example <<: *defaults")
        return {}

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if isinstance(node, yaml.ScalarNode) and (unusable := _UNUSABLE.search(node.value)):
            self._problem(node, path, f"{unusable[0]!r} cannot be part of a name; leave it out")
        elif isinstance(node, yaml.ScalarNode) and node.tag == _PLAIN + "str":
            return str(node.value)
        elif isinstance(node, yaml.ScalarNode) and node.value:
            self._problem(node, path, f"{node.value} is not a word; if it is a name, write '{node.value}'")
        else:
            self._problem(node, path, "what is before the colon must be a word")
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_PLAIN)
        if unusable := _UNUSABLE.search(text):
            self._problem(node, path, f"{unusable[0]!r} cannot be part of a text; leave it out")
            return ""
        try:
            if kind == "int":
                self._source.written[path] = text
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if kind == "float":
                self._source.written[path] = text
                return float(text)
            if kind == "bool":
                self._source.written[path] = text
                return text.lower() == "true"
        except ValueError:
            shown = text if len(text) <= 40 else f"{text[:40]}…"
            self._problem(node, path, f"{shown} cannot be read as a number; write a shorter one, or '…' if it is text")
            return text
        if kind == "null":
            return None
        if kind not in ("str", "merge"):
            self._problem(node, path, f"the tag {node.tag.replace(_PLAIN, '!!')} is not known here; leave it out")
        return text

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        self._source.problems.append(Problem(node.start_mark.line + 1, path, message))


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    hint = ""
    if "\\t" in said:
        hint = "; indent with blanks, not tabs"
    elif "mapping values are not allowed" in said:
        hint = "; quote a value that contains ': ', and check the indentation"
    elif "expected ',' or" in said or "end of stream" in said:
        hint = "; is a bracket or a quote left open here or in the lines above?"
    elif "expected <block end>" in said:
        hint = "; check the indentation of this line against the lines above"
    return Problem(line, (), f"not YAML: {said}{hint}")
