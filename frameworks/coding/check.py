"""From the text of a service file to a `ServiceFile`, or to every problem with its file, line, field, value and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from frameworks.coding.names import did_you_mean
from frameworks.coding.plans import plan_service
from frameworks.coding.possible import why_impossible
from frameworks.coding.settings import PortSpec, ProbeSpec, ResourceSpec
from frameworks.coding.source import Path, Problem, Source, parse
from frameworks.coding.spec import JobSpec, RestartSpec, ServiceFile, TaskSpec, UpdateSpec
from frameworks.coding.values import shown
from offerer import InvalidInput

_CANONICAL_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9]|\.0)?")


class Format(NamedTuple):
    """What a kind of file is made of, for what is said of one that is wrong."""

    models: Sequence[tuple[str, type[BaseModel]]]
    """Where which model stands: a pattern of the path, the parts joined by ``/``. The first is that of the file."""
    synonyms: Mapping[str, str]
    """What people write who come from elsewhere."""
    examples: Mapping[str, str]
    """How a field that is missing is written."""


_MODELS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    (r"", ServiceFile),
    (r"jobs/[^/]+", JobSpec),
    (r"jobs/[^/]+/tasks/[^/]+", TaskSpec),
    (r"jobs/[^/]+/update", UpdateSpec),
    (r"jobs/[^/]+/restart", RestartSpec),
    (r".*/(health|readiness|liveness)", ProbeSpec),
    (r".*/resources", ResourceSpec),
    (r".*/ports/\d+", PortSpec),
)
# What people write who come from docker-compose, Kubernetes or Marathon.
_SYNONYMS: Final = {
    "args": "command", "cmd": "command", "containerPort": "container", "count": "replicas", "cpu": "cpus",
    "entrypoint": "command", "environment": "env", "gpu": "gpus", "hostPort": "host", "hostname": "host",
    "instances": "replicas", "mem": "memory", "name": "service", "node": "host", "published": "host",
    "requires": "depends_on", "scale": "replicas", "services": "jobs", "stop_grace_period": "stop_grace",
    "target": "container",
}  # fmt: skip
_EXAMPLES: Final = {"service": "service: core", "jobs": "jobs: {web: {image: nginx:1.27}}"}
_FORMAT: Final = Format(_MODELS, _SYNONYMS, _EXAMPLES)
M = TypeVar("M", bound=BaseModel)


class CheckedFile(NamedTuple):
    """A service file that is right in itself."""

    file: str
    text: str
    service: ServiceFile
    source: Source


def check_file(file: str, text: str) -> CheckedFile:
    """The service of this file. Raises `InvalidInput` with one line per problem: ``core.yaml:14: jobs.web…: …``."""
    source = parse(text)
    service, problems = check_source(source, ServiceFile, _string_maps(source.data), _FORMAT)
    if service is not None and not problems:
        for name, job in plan_service(service).items():
            why = why_impossible(job)
            if why:
                path = ("jobs", name, why[0])
                problems.append(Problem(source.line_of(path), path, why[1]))
    if problems or service is None:
        raise InvalidInput("\n".join(problem.text(file) for problem in problems))
    return CheckedFile(file, text, service, source)


def check_source(
    source: Source, model: type[M], string_maps: Iterable[tuple[Path, dict[str, Any]]], format: Format
) -> tuple[M | None, list[Problem]]:
    """What a parsed file says, and everything that is wrong with it, by line.

    `string_maps` are the mappings in it whose values are text, each with its path.
    """
    problems = list(source.problems)
    found: M | None = None
    if source.data is not None:
        problems += _settle_strings(source, string_maps)
        try:
            found = model.model_validate(source.data)
        except ValidationError as error:
            already = {problem.path for problem in problems}
            problems += [each for each in _problems(error, source, format) if each.path not in already]
    return found, sorted(problems, key=lambda each: each.line)


def _settle_strings(
    source: Source, string_maps: Iterable[tuple[Path, dict[str, Any]]]
) -> Iterator[Problem]:
    """Make numbers and bools in `env` and `labels` the text they were written as, where that is beyond doubt.

    ``8080``, ``0.5`` and ``true`` are; ``0644``, ``1.10`` and ``TRUE`` are read differently by different tools.
    """
    for path, mapping in string_maps:
        for name, value in mapping.items():
            here = (*path, name)
            if isinstance(value, bool | int | float):
                written = source.written.get(here, str(value))
                if isinstance(value, bool) and written in ("true", "false") or _CANONICAL_NUMBER.fullmatch(written):
                    mapping[name] = written
                else:
                    mapping[name] = ""
                    fix = f"{written} can be read in several ways; write '{written}'"
                    yield Problem(source.line_of(here), here, fix)
            elif isinstance(value, list | dict):
                mapping[name] = ""
                yield Problem(source.line_of(here), here, f"{shown(value)} is not text; write one value")
            elif value is None:
                mapping[name] = ""
                yield Problem(source.line_of(here), here, "there is no value; write '' for an empty one")


def _string_maps(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    jobs = data.get("jobs") if isinstance(data, dict) else None
    for job_name, job in (jobs.items() if isinstance(jobs, dict) else ()):
        parts: list[tuple[Path, Any]] = [(("jobs", job_name), job)]
        tasks = job.get("tasks") if isinstance(job, dict) else None
        if isinstance(tasks, dict):
            parts += [(("jobs", job_name, "tasks", name), task) for name, task in tasks.items()]
        for path, part in parts:
            for field in ("env", "labels"):
                if isinstance(part, dict) and isinstance(part.get(field), dict):
                    yield (*path, field), part[field]


def _problems(error: ValidationError, source: Source, format: Format) -> Iterator[Problem]:
    for each in error.errors(include_url=False):
        path: Path = tuple(part for part in each["loc"] if part not in ("<list>", "<map>"))
        if path and path[-1] == "[key]":
            path = path[:-1]
        yield Problem(source.line_of(path), path, _message(each, path, format))


def _message(error: Mapping[str, Any], path: Path, format: Format) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown_field(path, format)
    if kind == "missing":
        return f"missing; add for example {format.examples.get(str(path[-1]), path[-1])}"
    if kind == "greater_than_equal" or kind == "less_than_equal":
        bound = f"{context['ge']} or more" if "ge" in context else f"{context['le']} or less"
        return f"{value} must be {bound}"
    if kind == "literal_error":
        return f"{value!r} must be {context['expected']}"
    if kind == "too_short":
        return "there is nothing in it; give at least one"
    if kind == "int_type":
        digits = isinstance(value, str) and value.strip("-").isdecimal()
        return f"{shown(value)} is not a whole number" + (f"; write {value}, without quotes" if digits else "")
    if kind == "list_type":
        words = value.split() if isinstance(value, str) else ["a", "b"]
        listed = ", ".join(f"'{word}'" if word[0].isdigit() else word for word in words)
        return f"{shown(value)} is not a list; write for example [{listed}]"
    if kind in ("model_type", "model_attributes_type"):
        what = "there is nothing here" if value is None else f"{shown(value)} is not a mapping"
        return f"{what}; the fields are {', '.join(_fields(path, format))}"
    if kind == "dict_type":
        return f"{shown(value)} is not a mapping of names; write for example {{web: {{…}}}}"
    return f"{shown(value)}: {error['msg']}"


def _fields(path: Path, format: Format) -> list[str]:
    """The fields that may stand at this place."""
    where = "/".join(map(str, path))
    model = next((model for pattern, model in format.models if re.fullmatch(pattern, where)), format.models[0][1])
    return list(model.model_fields)


def _unknown_field(path: Path, format: Format) -> str:
    known, wrong = _fields(path[:-1], format), str(path[-1])
    synonym = format.synonyms.get(wrong)
    hint = f"; did you mean {synonym!r}?" if synonym in known else did_you_mean(wrong, known)
    return f"unknown field{hint or '; known here: ' + ', '.join(known)}"
