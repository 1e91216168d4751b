"""A revision: one pushed version of a service, numbered, never changed; how it is written to the store and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from frameworks.coding.check import check_file
from frameworks.coding.names import JobName, environment_in, in_environment, is_service
from frameworks.coding.plans import JobPlan, plan_service
from frameworks.coding.spec import ServiceFile
from offerer import InvalidInput, Time

PREFIX = "revisions/"


@dataclass(slots=True)
class Revision:
    """One pushed version of a service."""

    number: int
    spec: ServiceFile
    file: str
    """The file's name as it was pushed."""
    text: str
    who: str
    message: str
    at: Time
    environment: str = ""
    secrets: dict[str, int] = field(default_factory=dict)
    """The versions of secrets that there were when it was pushed, by their names in the store."""
    _jobs: dict[str, JobPlan] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The service's name, with its environment."""
        return in_environment(self.spec.service, self.environment)

    @property
    def jobs(self) -> Mapping[str, JobPlan]:
        """What is to run, planned when first asked for."""
        if not self._jobs:
            self._jobs = plan_service(self.spec, self.environment, self.secrets)
        return self._jobs

    @property
    def depends_on(self) -> dict[JobName, tuple[JobName, ...]]:
        """The dependencies of each of its jobs."""
        return {job.name: job.depends_on for job in self.jobs.values()}

    @property
    def keeps_apart(self) -> bool:
        """Whether a job of it is to be apart from another, told without planning anything."""
        parts = [part for job in self.spec.jobs.values() for part in (job, *(job.tasks or {}).values())]
        return any(each.split()[0] == "apart" for part in parts for each in part.constraints or ())

    def content(self) -> dict[str, Any]:
        """What was written, without comments and layout: equal for two revisions that mean the same."""
        return self.spec.model_dump(mode="json", exclude_unset=True)

    def says_the_same(self, other: Revision) -> bool:
        """Whether nothing that either means is different."""
        return self.content() == other.content() and self.secrets == other.secrets and self.jobs == other.jobs

    @property
    def key(self) -> str:
        """Its key in the store."""
        return revision_key(self.service, self.number)

    def to_bytes(self) -> bytes:
        """The value under that key."""
        return json.dumps(
            {
                "file": self.file,
                "text": self.text,
                "spec": self.content(),
                "secrets": self.secrets,
                "who": self.who,
                "message": self.message,
                "at": self.at,
            },
            ensure_ascii=False,
        ).encode()


def revision_key(service: str, number: int) -> str:
    """``revisions/core/00000007``: sorted by number."""
    return f"{PREFIX}{service}/{number:08}"


def read_key(key: str) -> tuple[str, int]:
    """Service and number of a key under `PREFIX`. Raises `InvalidInput`."""
    service, _, number = key.removeprefix(PREFIX).partition("/")
    if not is_service(service) or not number.isascii() or not number.isdigit() or int(number) < 1:
        raise InvalidInput(f"{key}: not {PREFIX}SERVICE/NUMBER, for example {revision_key('core', 7)}")
    return service, int(number)


def read_revision(key: str, value: bytes, now: Time) -> Revision:
    """The revision of an entry: ours, or a bare service file that another tool has put there. Raises `InvalidInput`."""
    service, number = read_key(key)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{key}: not UTF-8 text; put a service file there") from None
    environment = environment_in(service)
    revision = _read_own(number, text, environment) or Revision(
        number, check_file(key, text, environment).service, key, text, "written into the store", "", now, environment
    )
    if revision.service != service:
        raise InvalidInput(f"{key}: holds service {revision.service!r}; put it under {PREFIX}{revision.service}/")
    return revision


def _read_own(number: int, text: str, environment: str) -> Revision | None:
    try:
        record = json.loads(text)
        spec = ServiceFile.model_validate(record["spec"])
        return Revision(
            number, spec, str(record["file"]), str(record["text"]), str(record["who"]), str(record["message"]),
            int(record["at"]), environment, dict(record.get("secrets", {})),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, ValidationError):
        return None
