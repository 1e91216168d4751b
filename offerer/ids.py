"""Identifiers: never a plain ``str`` or ``int``, so that mypy catches one id passed for another."""

from typing import NewType

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
