"""From the text of a service file to a `ServiceFile`, or to every problem with its file, line, field, value and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from frameworks.coding.containers import fill_in
from frameworks.coding.files import PushedFile, raw_parts, string_maps
from frameworks.coding.names import did_you_mean, in_environment
from frameworks.coding.overlay import render
from frameworks.coding.plans import TaskPlan, plan_service
from frameworks.coding.possible import why_impossible
from frameworks.coding.secrets import check_value
from frameworks.coding.settings import (
    LimitSpec,
    LoggingSpec,
    PortSpec,
    ProbeSpec,
    ResourceSpec,
    SecretSpec,
    StepSettings,
)
from frameworks.coding.source import Path, Problem, Source
from frameworks.coding.spec import JobSpec, RestartSpec, ServiceFile, TaskSpec, UpdateSpec
from frameworks.coding.values import shown
from offerer import InvalidInput, InvalidSpec, PortMapping, check_container

_CANONICAL_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9]|\.0)?")


class Format(NamedTuple):
    """What a kind of file is made of, for what is said of one that is wrong."""

    models: Sequence[tuple[str, type[BaseModel]]]
    """Where which model stands: a pattern of the path, the parts joined by ``/``. The first is that of the file."""
    synonyms: Mapping[str, str]
    """What people write who come from elsewhere."""
    examples: Mapping[str, str]
    """How a field that is missing is written."""


Models = tuple[tuple[str, type[BaseModel]], ...]
MODELS_OF_SETTINGS: Final[Models] = (
    (r"(.*/)?(health|readiness|liveness)", ProbeSpec),
    (r"(.*/)?(containers|init_steps)/[^/]+", StepSettings),
    (r"(.*/)?(containers|init_steps)/[^/]+/resources", LimitSpec),
    (r"(.*/)?resources", ResourceSpec),
    (r"(.*/)?ports/\d+", PortSpec),
    (r"(.*/)?secrets/[^/]+", SecretSpec),
    (r"(.*/)?logging", LoggingSpec),
)
"""Of whatever has the settings of a container."""

_MODELS: Final[Models] = (
    (r"", ServiceFile),
    (r"jobs/[^/]+", JobSpec),
    (r"jobs/[^/]+/tasks/[^/]+", TaskSpec),
    (r"jobs/[^/]+/update", UpdateSpec),
    (r"jobs/[^/]+/restart", RestartSpec),
    *MODELS_OF_SETTINGS,
)
# What people write who come from docker-compose, Kubernetes or Marathon.
_SYNONYMS: Final = {
    "args": "command", "cmd": "command", "containerPort": "container", "count": "replicas", "cpu": "cpus",
    "environment": "env", "gpu": "gpus", "healthcheck": "health", "hostPort": "host", "imagePullPolicy": "pull",
    "initContainers": "init_steps", "init_containers": "init_steps", "instances": "replicas",
    "log_driver": "logging", "log_opt": "logging", "max-size": "size", "mem": "memory", "mem_limit": "resources",
    "name": "service", "net": "network_mode", "node": "host", "opts": "options", "published": "host",
    "pull_policy": "pull", "requires": "depends_on", "scale": "replicas", "services": "jobs",
    "sidecars": "containers", "source": "store", "stop_grace_period": "stop_grace", "target": "container",
}  # fmt: skip
_EXAMPLES: Final = {"service": "service: core", "jobs": "jobs: {web: {image: nginx:1.27}}"}
_FORMAT: Final = Format(_MODELS, _SYNONYMS, _EXAMPLES)
_MOST_LISTED: Final = 20  # of more, nobody finds the one that is meant
M = TypeVar("M", bound=BaseModel)


class CheckedFile(NamedTuple):
    """A service file that is right in itself."""

    pushed: PushedFile
    text: str
    """What it says, its overlay merged over it."""
    service: ServiceFile
    source: Source

    @property
    def name(self) -> str:
        """The service with its environment."""
        return in_environment(self.service.service, self.pushed.environment)


def check_file(file: str, text: str, environment: str = "") -> CheckedFile:
    """The service of this file. Raises `InvalidInput` with one line per problem: ``core.yaml:14: jobs.web…: …``."""
    return check_pushed(PushedFile(file, text, environment))


def check_pushed(pushed: PushedFile) -> CheckedFile:
    """The service of this file, with all that belongs to it. Raises `InvalidInput`."""
    source = pushed.source()
    service, problems = check_source(source, ServiceFile, string_maps(raw_parts(source.data)), _FORMAT)
    if service is not None:
        if not problems:
            problems += [*_check_containers(service, source), *_check_places(service, source)]
        problems += _check_files(service, pushed, source)
    if problems or service is None:
        raise InvalidInput("\n".join(dict.fromkeys(problem.text(pushed.name) for problem in problems)))
    text = pushed.text if pushed.overlay is None else render(source.data)
    return CheckedFile(pushed, text, service, source)


def _check_files(service: ServiceFile, pushed: PushedFile, source: Source) -> Iterator[Problem]:
    for path, secret in service.secrets:
        if secret.file is not None:
            here = (*path, "file")
            if secret.file not in pushed.files:
                yield source.problem(here, pushed.missing(secret.file))
                continue
            try:
                check_value(pushed.files[secret.file])
            except InvalidInput as error:
                yield source.problem(here, f"{pushed.beside(secret.file)!r}: {error}")


def _check_places(service: ServiceFile, source: Source) -> Iterator[Problem]:
    for name, job in plan_service(service).items():
        why = why_impossible(job)
        if why:
            yield source.problem(("jobs", name, why[0]), why[1])


def _check_containers(service: ServiceFile, source: Source) -> Iterator[Problem]:
    for job in plan_service(service).values():
        for task, plan in {id(plan): (task, plan) for task, plan in job.tasks.items()}.values():
            why = why_not_a_container(plan)
            if why:
                own = service.jobs[job.name.job].tasks
                yield source.problem(("jobs", job.name.job, *(("tasks", task) if own else ())), why)


def why_not_a_container(plan: TaskPlan) -> str:
    """What only shows when all settings of a task are taken together, as an executor does; else empty."""
    numbers = [wish.host or wish.container or 1 + i for i, wish in enumerate(plan.ports)]
    ports = [
        PortMapping(wish.container or number, number, wish.protocol, wish.name or "")
        for wish, number in zip(plan.ports, numbers, strict=True)
    ]
    try:
        check_container(fill_in(plan.container, plan.parts, ports, {}, lambda *_: ""))
    except InvalidSpec as error:
        return str(error).removeprefix("spec.")
    return ""


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
                    yield source.problem(here, fix)
            elif isinstance(value, list | dict):
                mapping[name] = ""
                yield source.problem(here, f"{shown(value)} is not text; write one value")
            elif value is None:
                mapping[name] = ""
                yield source.problem(here, "there is no value; write '' for an empty one")


def _problems(error: ValidationError, source: Source, format: Format) -> Iterator[Problem]:
    for each in error.errors(include_url=False):
        path: Path = tuple(part for part in each["loc"] if part not in ("<list>", "<map>"))
        if path and path[-1] == "[key]":
            path = path[:-1]
        yield source.problem(path, _message(each, path, format))


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
    if kind == "bool_type":
        return f"{shown(value)} must be true or false"
    if kind == "int_type":
        digits = isinstance(value, str) and value.strip("-").isdecimal()
        return f"{shown(value)} is not a whole number" + (f"; write {value}, without quotes" if digits else "")
    if kind == "list_type":
        words = value.split() if isinstance(value, str) else ["a", "b"]
        listed = ", ".join(f"'{word}'" if word[0].isdigit() else word for word in words)
        return f"{shown(value)} is not a list; write for example [{listed}]"
    if kind in ("model_type", "model_attributes_type"):
        what = "there is nothing here" if value is None else f"{shown(value)} is not a mapping"
        return f"{what}; {_listed('the fields are', _fields(path, format))}"
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
    return f"unknown field{hint or '; ' + _listed('known here:', known)}"


def _listed(what: str, fields: Sequence[str]) -> str:
    if len(fields) > _MOST_LISTED:
        return "offerer schema --reference lists the fields"
    return f"{what} {', '.join(fields)}"
