"""offerer: a two-level resource-offer scheduler for Docker hosts.

Everything that a framework plug-in needs is importable from here; all other modules are internal::

    from offerer import Decline, Framework, Launch, Resources
"""

from offerer.constraints import Constraint
from offerer.containers import (
    ContainerSpec,
    Device,
    Mount,
    PortMapping,
    Probe,
    Secret,
    Tmpfs,
    Ulimit,
    check_container,
)
from offerer.errors import (
    Compacted,
    Conflict,
    InvalidInput,
    InvalidSpec,
    NotFound,
    OffererError,
    Replaced,
    Unavailable,
)
from offerer.framework import (
    DEFAULT_REFUSE_FOR,
    FOREVER,
    Context,
    Decision,
    Decisions,
    Decline,
    Demand,
    Framework,
    Kill,
    Launch,
    Revive,
    Suppress,
    Wake,
    Want,
)
from offerer.ids import DEFAULT_ROLE, FrameworkId, HostId, OfferId, Role, TaskId
from offerer.resources import Resources
from offerer.store.protocol import Change, Compare, Delete, Entry, Put, Store
from offerer.task_states import TaskState
from offerer.types import SECOND, Offer, Reason, TaskInfo, TaskStatus, Time

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_REFUSE_FOR",
    "DEFAULT_ROLE",
    "FOREVER",
    "SECOND",
    "Change",
    "Compacted",
    "Compare",
    "Conflict",
    "Constraint",
    "ContainerSpec",
    "Context",
    "Decision",
    "Decisions",
    "Decline",
    "Delete",
    "Demand",
    "Device",
    "Entry",
    "Framework",
    "FrameworkId",
    "HostId",
    "InvalidInput",
    "InvalidSpec",
    "Kill",
    "Launch",
    "Mount",
    "NotFound",
    "Offer",
    "OfferId",
    "OffererError",
    "PortMapping",
    "Probe",
    "Put",
    "Reason",
    "Replaced",
    "Resources",
    "Revive",
    "Role",
    "Secret",
    "Store",
    "Suppress",
    "TaskId",
    "TaskInfo",
    "TaskState",
    "TaskStatus",
    "Time",
    "Tmpfs",
    "Ulimit",
    "Unavailable",
    "Wake",
    "Want",
    "check_container",
]
