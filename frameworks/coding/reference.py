"""The fields of a service file, told to editors as a JSON Schema and to people as Markdown; both from the model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from frameworks.coding.settings import (
    ContainerSettings,
    LimitSpec,
    LoggingSpec,
    PortSpec,
    ProbeSpec,
    ResourceSpec,
    SecretSpec,
    StepSettings,
)
from frameworks.coding.spec import ADDED, JobSpec, RestartSpec, ServiceFile, TaskSpec, UpdateSpec
from frameworks.coding.values import KIND

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_HEAD: Final = """\
# The service file

Every field, generated from the model that checks the file (`offerer schema --reference`). What a service is and what
happens to it is in [SERVICES.md](SERVICES.md). For editors there is a JSON Schema,
[service.schema.json](service.schema.json), which `offerer schema` prints. An editor with a YAML language server takes
it from the first line of a file:

```yaml
# yaml-language-server: $schema=service.schema.json
service: core
jobs:
  web: {image: nginx:1.27}
```

Sizes have a unit (`512MiB`), and so have durations (`1m30s`). A field that is left out has its default; where there is
none below, nothing is set.
"""
_SECTIONS: Final[tuple[tuple[str, str, type[BaseModel], type[BaseModel] | None], ...]] = (
    ("The file", "", ServiceFile, None),
    ("A job", "Beside these, a job has the fields of a task and of a container.", JobSpec, TaskSpec),
    (
        "A task",
        "Of a job, for all its tasks; or of one under `tasks`, whose {added} are added to the job's. Anything else "
        "replaces the job's, `resources` one by one.",
        TaskSpec,
        ContainerSettings,
    ),
    (
        "A container",
        "Of a job or a task with one container, or of one under `containers` or `init_steps`. Of a job with "
        "`containers`, `env` is for all of them and each one's own goes over it, probes and `labels` are of the whole, "
        "and the rest belongs to the containers.",
        ContainerSettings,
        None,
    ),
    ("Beside that, under `containers` and `init_steps`", "", StepSettings, ContainerSettings),
    ("`resources`", "", ResourceSpec, None),
    ("`resources` of a container in a pod", "", LimitSpec, None),
    ("`ports`", "A list of these.", PortSpec, None),
    (
        "`health`, `readiness`, `liveness`",
        "One of `http`, `tcp` and `command`, which for a pod as a whole runs in its first container. "
        "[CONTAINERS.md](CONTAINERS.md#health) says how it is asked.",
        ProbeSpec,
        None,
    ),
    ("`secrets`", "By name, each `store` or these.", SecretSpec, None),
    ("`logging`", "", LoggingSpec, None),
    ("`update`", "", UpdateSpec, None),
    ("`restart`", "", RestartSpec, None),
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a service file."""
    schema = _plain(ServiceFile.model_json_schema())
    definitions = schema.pop("$defs")
    secret = definitions["SecretSpec"]
    definitions["SecretSpec"] = {"anyOf": [{"const": "store"}, secret]}
    return {
        "$schema": _DIALECT,
        "title": "A service file of offerer",
        **schema,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def _plain(schema: Any) -> Any:
    """Without what only the model needs: titles, and null for what is left out."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(value) for name, value in schema.items()}
    for name in ("title", KIND):
        if isinstance(found.get(name), str):
            del found[name]
    if "default" in found and found["default"] is None:
        del found["default"]
    if "patternProperties" in found:
        found["additionalProperties"] = False
        found.pop("propertyNames", None)
    choices = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        del found["anyOf"]
        found = {**choices[0], **found}
    return found


def markdown() -> str:
    """Every field with its meaning, section by section."""
    lines = [_HEAD, *(line for section in _SECTIONS for line in _section(*section))]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(title: str, intro: str, model: type[BaseModel], without: type[BaseModel] | None) -> Iterator[str]:
    schema = model.model_json_schema()
    yield f"## {title}\n"
    if intro:
        added = " and ".join(", ".join(f"`{name}`" for name in ADDED).rsplit(", ", 1))
        yield textwrap.fill(intro.format(added=added), 120) + "\n"
    yield "| field | value | meaning | default |"
    yield "|---|---|---|---|"
    known = without.model_fields if without else {}
    for name, field in model.model_fields.items():
        if name not in known:
            described = schema["properties"][name]
            default = "required" if field.is_required() else _default(field.default)
            value = _kind(described, schema["$defs"] if "$defs" in schema else {})
            meaning = " ".join((field.description or "").split())
            yield f"| `{name}` | {value} | {meaning} | {default} |".replace("|  |", "| |")
    yield ""


def _default(default: object) -> str:
    if default in (None, [], {}):
        return ""
    if isinstance(default, int) and not isinstance(default, bool) and default >= 1 << 20:
        return f"`{default >> 20}MiB`"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _kind(schema: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """What may be written, in words, with an example where that says more."""
    choices = [each for each in schema.get("anyOf") or schema.get("oneOf") or () if each != {"type": "null"}]
    if choices:
        return ", or ".join(_kind(each, models) for each in choices)
    if "$ref" in schema:
        return "fields of its own, see below" if schema["$ref"].rpartition("/")[2] not in _HERE else "settings"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum") or [schema["const"]])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'], models)}"
    values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
    if KIND not in schema and isinstance(values, dict):
        return f"mapping of names to {_kind(values, models)}"
    if KIND in schema:
        example = schema.get("examples")
        return f"{schema[KIND]}, `{_written(example[0])}`" if example else str(schema[KIND])
    return {"integer": "number", "boolean": "`true`, `false`"}.get(str(schema.get("type")), str(schema.get("type")))


_HERE: Final = {each.__name__ for each in (JobSpec, TaskSpec, StepSettings)}


def _written(example: object) -> str:
    """An example as it stands in a file."""
    if isinstance(example, dict):
        return "{" + ", ".join(f"{name}: {_written(each)}" for name, each in example.items()) + "}"
    return str(example)
