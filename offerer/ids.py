"""Identifiers: never a plain ``str`` or ``int``, so that mypy catches one id passed for another."""

from typing import Final, NewType

from offerer.errors import InvalidInput

_LONGEST: Final = 253

HostId = NewType("HostId", str)
"""A machine. Chosen once by its executor, kept in its state directory, survives restarts."""

FrameworkId = NewType("FrameworkId", str)
"""A framework: the name it registers under, unique in the cluster, so it survives restarts too."""

TaskId = NewType("TaskId", str)
"""A task: chosen by its framework, unique among all tasks that framework ever launches."""

OfferId = NewType("OfferId", int)
"""An offer: ``term << 32 | sequence``, so that an offer of an earlier leader is never taken for a new one."""

Role = NewType("Role", str)
"""What frameworks share resources under; ``*`` unless the framework names another."""

DEFAULT_ROLE = Role("*")


def check_name(field: str, name: str) -> str:
    """The name of a framework, a role or a host itself. Raises `InvalidInput` for one that cannot be."""
    wrong = not isinstance(name, str) or not name or len(name) > _LONGEST or not name.isprintable()
    if wrong or any(c in name for c in "/\\ "):
        wanted = f"1 to {_LONGEST} printable characters without '/', '\\' or space"
        raise InvalidInput(f"{field}: {name!r:.80} must be {wanted}")
    return name
