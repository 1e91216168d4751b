"""A service file with what belongs to it: the overlay of an environment, and the files that it refers to. Pure.

Whoever pushes reads `wanted_files` beside the service file and sends their texts along.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from frameworks.coding.overlay import merge
from frameworks.coding.source import Path, Problem, Source, parse

_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED: Final = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?""")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class PushedFile:
    """One service file as it is pushed, with the environment it is for."""

    name: str
    text: str
    environment: str = ""
    overlay: str | None = None
    """The text of the overlay, where there is one."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The texts of the files that it refers to, by their paths as it has them."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why others of them could not be read."""

    @property
    def overlay_name(self) -> str:
        """The name of the overlay."""
        return overlay_name(self.name, self.environment)

    @property
    def title(self) -> str:
        """What to call both together."""
        return f"{self.name} + {self.overlay_name}" if self.overlay is not None else self.name

    def beside(self, path: str) -> str:
        """What to call a file that it refers to."""
        return posixpath.join(posixpath.dirname(self.name), path)

    def source(self) -> Source:
        """It, with the overlay over it and the variables of its env files in it."""
        source = parse(self.text)
        lines = [line.strip() for line in (self.overlay or "").splitlines()]
        if any(line and not line.startswith("#") for line in lines):
            service = source.data.get("service") if isinstance(source.data, dict) else None
            source = merge(source, parse(self.overlay or ""), self.overlay_name)
            if isinstance(source.data, dict) and source.data.get("service") != service:
                problem = source.problem(("service",), f"this goes over the file of {service!r}; leave it out")
                source.problems.append(problem)
        source.problems.extend(self._take_in_variables(source))
        return source

    def _take_in_variables(self, source: Source) -> Iterator[Problem]:
        """Put the variables of `env_file` below those of `env`, so that what is stored says it all."""
        parsed: dict[str, dict[str, str]] = {}
        for path, part in raw_parts(source.data):
            listed = part.get("env_file")
            paths = listed if isinstance(listed, list) else [listed]
            found: dict[str, str] = {}
            for each in paths:
                if not isinstance(each, str) or not each:
                    continue  # the model says so
                here = (*path, "env_file")
                if each not in self.files:
                    yield source.problem(here, self.missing(each))
                elif each not in parsed:
                    parsed[each], problems = parse_variables(self.files[each])
                    yield from (Problem(line, (), what, self.beside(each)) for line, what in problems)
                found |= parsed.get(each, {})
            own = part.get("env")
            if found and (own is None or isinstance(own, dict)):
                part["env"] = {**found, **(own or {})}

    def missing(self, path: str) -> str:
        """Why a file that it refers to is not there."""
        why = self.unreadable.get(path)
        if why is None:
            return f"{path!r} was not sent along; offerer push reads it, other tools have to write out what is in it"
        hint = "; paths are relative to the service file" if why.startswith("No such file") else ""
        return f"{self.beside(path)!r} cannot be read: {why}{hint}"


def overlay_name(name: str, environment: str) -> str:
    """``core.yaml`` in staging: ``core.staging.yaml``."""
    stem, extension = posixpath.splitext(name)
    return f"{stem}.{environment}{extension}"


def wanted_files(file: PushedFile) -> list[str]:
    """The paths of the files that a service file refers to, as it has them; of a broken file, as far as can be told."""
    found: list[Any] = []
    for _, part in raw_parts(file.source().data):
        listed = part.get("env_file")
        found += listed if isinstance(listed, list) else [listed]
        secrets = part.get("secrets")
        for secret in secrets.values() if isinstance(secrets, dict) else ():
            found.append(secret.get("file") if isinstance(secret, dict) else None)
    return list(dict.fromkeys(each for each in found if isinstance(each, str) and each))


def raw_parts(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Everything in the data of a service file that has settings of a container, whatever else may be wrong."""
    jobs = data.get("jobs") if isinstance(data, dict) else None
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        yield from parts_of(("jobs", name), job, ("tasks", "containers", "init_steps"))


def parts_of(
    path: Path, settings: Any, deeper: Sequence[str] = ("containers", "init_steps")
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """These settings, which stand at this path, and those of the containers in them."""
    if isinstance(settings, dict):
        yield path, settings
        for i, field_ in enumerate(deeper):
            below = settings.get(field_)
            for name, each in below.items() if isinstance(below, dict) else ():
                yield from parts_of((*path, field_, name), each, deeper[i + 1 :] if field_ == "tasks" else ())


def string_maps(parts: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings in settings whose values are text, each with its path."""
    for path, part in parts:
        logging = part.get("logging")
        options = logging.get("options") if isinstance(logging, dict) else None
        for where, mapping in (
            *(((*path, name), part.get(name)) for name in ("env", "labels", "sysctls")),
            ((*path, "logging", "options"), options),
        ):
            if isinstance(mapping, dict):
                yield where, mapping


def parse_variables(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """The variables of an env file, and what is wrong with it by line: ``NAME=value``, as docker compose reads it."""
    found: dict[str, str] = {}
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if not match or "\0" in line:
            name = line.partition("=")[0].strip()
            problems.append((number, f"{name!r} does not begin as NAME=value does; comments begin with #"))
            continue
        name, value = match[1], match[2]
        quoted = _QUOTED.fullmatch(value)
        if quoted:
            double, single = quoted.groups()
            value = single if double is None else re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), double)
        elif value[:1] in ("'", '"'):
            problems.append((number, f"{name}: the quote is not closed, or more follows it; close it in this line"))
        else:
            value = re.split(r"\s#", f" {value}", maxsplit=1)[0].strip()
        found[name] = value
    return found, problems
