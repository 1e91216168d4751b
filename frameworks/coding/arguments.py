"""The arguments of a call, as JSON brings them: each read and checked, or `InvalidInput` naming it and the fix."""

from __future__ import annotations

from collections.abc import Mapping

from frameworks.coding.files import PushedFile
from frameworks.coding.names import check_environment
from offerer import InvalidInput

Arguments = Mapping[str, object]


def revision_number(arguments: Arguments, name: str) -> int | None:
    """The number of a revision; None where none is given."""
    value = arguments.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidInput(f"{name}: {value!r} must be the number of a revision, 1 or more")
    return value


def string(arguments: Arguments, name: str) -> str:
    """A text; empty where none is given."""
    value = arguments.get(name, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: {value!r} must be a string")
    return utf8(name, value)


def utf8(name: str, value: str) -> str:
    """The value itself, which is to be stored. JSON can carry halves of characters, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name}: {value[error.start]!r} is no character of UTF-8; leave it out") from None
    return value


def environment_of(arguments: Arguments) -> str:
    """The environment that is meant; empty is the base one."""
    return check_environment(arguments.get("environment", ""))


def pushed_files(arguments: Arguments) -> list[PushedFile]:
    """The argument `files`: each with name and text, and where there are such, overlay and files that it refers to."""
    files = arguments.get("files")
    environment = environment_of(arguments)
    if not isinstance(files, list) or not files:
        raise InvalidInput("files: give a list of one or more {name, text}")
    found = []
    for i, file in enumerate(files):
        name, text = (file.get("name"), file.get("text")) if isinstance(file, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise InvalidInput(f"files[{i}]: give name and text, both strings")
        overlay = file.get("overlay")
        if overlay is not None and (not isinstance(overlay, str) or not environment):
            raise InvalidInput(f"files[{i}].overlay: it must be a string, and goes with an environment")
        beside = [file.get("files", {}), file.get("unreadable", {})]
        for each in beside:
            if not isinstance(each, dict) or not all(isinstance(value, str) for value in each.values()):
                raise InvalidInput(f"files[{i}].files: it must map paths to texts")
        texts = {"name": name, "text": text, "overlay": overlay or ""}
        for field, given in [*texts.items(), *(pair for each in beside for pair in each.items())]:
            utf8(f"files[{i}].{field}", given)
        found.append(PushedFile(name, text, environment, overlay, *beside))
    return found
