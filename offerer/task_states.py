"""The states of a task and every legal move between them, in one table.

Rule 1: whatever affects the order of task states lives in this file. States never go backwards; the only
way back is from ``UNREACHABLE``, which says that the master lost sight of the task, not that the task moved.
A terminal state is final.
"""

from enum import IntEnum

from offerer.errors import IllegalTransition


class TaskState(IntEnum):
    """Where a task is. The numbers are those of the wire (``proto/offerer/v1/common.proto``)."""

    STAGING = 1  # the master accepted the launch and told the executor
    STARTING = 2  # the executor prepares it: pulls the image, creates the container
    RUNNING = 3  # the container runs
    KILLING = 4  # asked to stop, in its grace period
    UNREACHABLE = 5  # its host does not answer; it may run or not
    FINISHED = 6  # ended by itself with exit code 0
    FAILED = 7  # ended by itself otherwise, or could not be started; another try may help
    KILLED = 8  # ended because somebody asked
    ERROR = 9  # its spec is invalid; another try gives the same answer
    DROPPED = 10  # never reached the executor: not within an offer, or the host was lost on the way
    GONE = 11  # its host says it does not have it, or was removed for good

    terminal: bool
    """Whether this state is final."""

    def __init__(self, number: int) -> None:
        self.terminal = number >= 6  # an attribute: this is asked a dozen times of every task


S = TaskState
TERMINAL = frozenset(state for state in TaskState if state.terminal)

TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    S.STAGING: frozenset({S.STARTING, S.RUNNING, S.KILLING, S.UNREACHABLE}) | TERMINAL,
    S.STARTING: frozenset({S.RUNNING, S.KILLING, S.UNREACHABLE}) | TERMINAL,
    S.RUNNING: frozenset({S.KILLING, S.UNREACHABLE}) | TERMINAL,
    S.KILLING: frozenset({S.UNREACHABLE}) | TERMINAL,
    S.UNREACHABLE: frozenset({S.STAGING, S.STARTING, S.RUNNING, S.KILLING}) | TERMINAL,
    **dict.fromkeys(TERMINAL, frozenset[TaskState]()),
}


def check_transition(old: TaskState, new: TaskState) -> None:
    """Raise `IllegalTransition` unless a task may move from `old` to `new`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a task cannot go from {old.name} to {new.name}")
