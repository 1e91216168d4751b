"""Every error offerer raises on purpose, in one tree. The class says who is at fault and whether to retry.

::

    OffererError
    ├── InvalidInput          the caller's input is wrong: name the field, the value and the fix; do not retry
    │   └── InvalidSpec       a task's container spec is wrong
    ├── IllegalTransition     a task state would move backwards (a bug, or a peer that sends rubbish)
    ├── PeerError             the other end of a stream broke the rules; it is cut off
    ├── Conflict              somebody else changed it first; read again, then retry
    ├── Compacted             the changes since then are no longer kept; read everything, then watch from there
    ├── NotFound              no such host, framework, task, service
    ├── Unavailable           the master, the engine or the store does not answer now; retry later
    └── Replaced              another process registered under the same name; do not retry
"""


class OffererError(Exception):
    """Something went wrong in offerer."""


class InvalidInput(OffererError):
    """The input is wrong. The message names the field, the value and the fix."""


class InvalidSpec(InvalidInput):
    """The container spec of a task is wrong. Retrying gives the same answer every time."""


class IllegalTransition(OffererError):
    """A task's state cannot change that way; nothing was changed."""


class PeerError(OffererError):
    """The peer broke the protocol: rubbish, an unknown version, someone else's ids. It is cut off."""


class Conflict(OffererError):
    """The value changed since it was read. Read again, decide again, retry."""


class Compacted(OffererError):
    """The changes since that revision are no longer kept. Read everything again, then watch from there."""


class NotFound(OffererError):
    """There is no such thing."""


class Unavailable(OffererError):
    """The other side does not answer now. Retrying later may help."""


class Replaced(OffererError):
    """Another process has registered under this name and took over; retrying would take it back from it."""
