"""The job file as a checked model. A job has the settings of a service's job, and how often and how it is tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, model_validator

from frameworks.coding.check import MODELS_OF_SETTINGS, Format, check_source, why_not_a_container
from frameworks.coding.files import parts_of, string_maps
from frameworks.coding.names import NAME_RULE, is_label
from frameworks.coding.plans import plan_task
from frameworks.coding.settings import Part
from frameworks.coding.source import Problem, Source, field_path, parse
from frameworks.coding.spec import Settings, check_settings
from frameworks.coding.strategy import Restart
from frameworks.coding.values import Duration, Factor, OnHostLost, parse_duration, shown
from offerer import InvalidInput, Time

MAX_INSTANCES: Final = 100_000
MAX_NAME: Final = 40
_PRIORITY: Final = 1000


def _name(value: object) -> str:
    if not isinstance(value, str) or not is_label(value) or len(value) > MAX_NAME:
        raise ValueError(f"{shown(value)} is not the name of a job; {NAME_RULE.replace('63', str(MAX_NAME))}")
    return value


class BackoffSpec(Part):
    """How long an instance that failed waits before it is tried again."""

    delay: Duration = "10s"
    factor: Factor = 2.0
    longest: Duration = "5m"


class InstanceSettings(Settings):
    """How an instance runs and where, and what becomes of it when its host does not answer."""

    on_host_lost: OnHostLost | None = None


class JobFile(InstanceSettings):
    """One job: so many instances of one command, each run until it has ended well."""

    job: Annotated[str, PlainValidator(_name)]
    instances: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] = 1
    parallel: Annotated[int, Field(ge=1)] | None = None
    priority: Annotated[int, Field(ge=-_PRIORITY, le=_PRIORITY)] = 0
    retries: Annotated[int, Field(ge=0, le=1000)] = 3
    backoff: BackoffSpec = BackoffSpec()
    time_limit: Duration | None = None
    max_failed: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _something_to_run(self) -> JobFile:
        given = self.settings_of(InstanceSettings())
        check_settings(given)
        for part in (self, *(given.get("containers") or {}).values(), *(given.get("init_steps") or {}).values()):
            if part.env_file is not None or part.secrets is not None:
                raise ValueError("env_file and secrets are for services; write what is not secret under env")
        why = why_not_a_container(plan_task(self, InstanceSettings()))
        if why:
            raise ValueError(why)
        if self.time_limit is not None and not parse_duration(self.time_limit):
            raise ValueError("time_limit: 0s leaves no time to run; leave it out for no limit")
        return self

    def delay(self, failures: int) -> Time:
        """How long to wait after this many failures of one instance."""
        backoff = self.backoff
        delay, longest = parse_duration(backoff.delay), parse_duration(backoff.longest)
        return Restart(delay=delay, factor=backoff.factor, longest=longest).wait(failures)

    @property
    def limit(self) -> Time | None:
        """How long one instance may run."""
        return None if self.time_limit is None else parse_duration(self.time_limit)

    def content(self) -> dict[str, Any]:
        """What was written, without comments and layout."""
        return self.model_dump(mode="json", exclude_unset=True)


_FORMAT: Final = Format(
    (
        (r"", JobFile),
        (r"backoff", BackoffSpec),
        *MODELS_OF_SETTINGS,
    ),
    {
        "activeDeadlineSeconds": "time_limit", "args": "command", "attempts": "retries", "backoffLimit": "retries",
        "cmd": "command", "completions": "instances", "count": "instances", "cpu": "cpus", "environment": "env",
        "max_parallel": "parallel", "mem": "memory", "name": "job", "parallelism": "parallel",
        "replicas": "instances", "timeout": "time_limit",
    },
    {"job": "job: resize"},
)  # fmt: skip


def check_job(file: str, text: str, settings: Mapping[str, Any]) -> JobFile:
    """The job of this file, with `settings` in place of what it says. Raises `InvalidInput`, one line per problem.

    Without a text it is of the settings alone, and a problem has no file and line.
    """
    source = parse(text, "job") if text else Source({}, {}, {}, [], {})
    if isinstance(source.data, dict):
        for field, value in settings.items():
            own = source.data.get(field)
            if isinstance(own, dict) and isinstance(value, dict):
                value = {**own, **value}
            source.data[field] = value
    job, problems = check_source(source, JobFile, string_maps(parts_of((), source.data)), _FORMAT)
    if problems or job is None:
        raise InvalidInput("\n".join(_line(problem, file if text else "", settings) for problem in problems))
    return job


def _line(problem: Problem, file: str, settings: Mapping[str, Any]) -> str:
    if file and not (problem.path and problem.path[0] in settings):
        return problem.text(file)
    where = field_path(problem.path)
    return f"{where}: {problem.message}" if where else problem.message
