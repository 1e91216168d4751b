"""The table of task states: monotonic, and the only way back is from UNREACHABLE."""

import pytest

from offerer.errors import IllegalTransition
from offerer.task_states import TERMINAL, TRANSITIONS, TaskState, check_transition

S = TaskState


def test_every_state_has_a_row_and_terminal_ones_are_final():
    assert set(TRANSITIONS) == set(TaskState)
    for state in TERMINAL:
        assert state.terminal
        assert not TRANSITIONS[state]
    assert {S.FINISHED, S.FAILED, S.KILLED, S.ERROR, S.DROPPED, S.GONE} == TERMINAL


def test_every_living_state_may_end_in_any_way_or_be_lost_sight_of():
    for state in set(TaskState) - TERMINAL:
        assert TRANSITIONS[state] >= TERMINAL
        assert state is S.UNREACHABLE or S.UNREACHABLE in TRANSITIONS[state]


def test_no_way_leads_back_but_from_unreachable():
    for state in set(TaskState) - TERMINAL - {S.UNREACHABLE}:
        assert all(later > state for later in TRANSITIONS[state])


@pytest.mark.parametrize(
    ("old", "new"),
    [(S.RUNNING, S.STAGING), (S.KILLING, S.RUNNING), (S.FINISHED, S.RUNNING), (S.FAILED, S.KILLED), (S.GONE, S.GONE)],
)
def test_an_illegal_move_raises(old, new):
    with pytest.raises(IllegalTransition, match=f"^a task cannot go from {old.name} to {new.name}$"):
        check_transition(old, new)


def test_a_legal_move_does_not():
    check_transition(S.STAGING, S.RUNNING)
    check_transition(S.UNREACHABLE, S.RUNNING)
