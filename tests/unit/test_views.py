"""Which statuses a plug-in is shown: what is new, once, in order."""

from __future__ import annotations

import pytest

from offerer import HostId, InvalidInput, Reason, TaskId, TaskState, TaskStatus
from offerer.client.views import Views

RUNNING = TaskStatus(TaskId("t1"), TaskState.RUNNING, HostId("h1"), uuid=b"1")


def test_that_a_host_is_to_be_emptied_is_news_whenever_it_changes() -> None:
    views = Views()
    draining = RUNNING._replace(draining=True)
    assert [views.news(each) for each in (RUNNING, draining, draining, RUNNING, RUNNING)] == [
        True, True, False, True, False,
    ]  # fmt: skip


def test_what_lives_although_it_was_said_to_have_ended_is_a_stray_and_no_news() -> None:
    views = Views()
    views.launched([TaskId("t1")], HostId("h1"))
    assert not views.strays([RUNNING]) and views.news(RUNNING)
    assert views.news(RUNNING._replace(state=TaskState.GONE, uuid=b"2"))
    assert views.strays([RUNNING]) == ["t1"] and not views.news(RUNNING) and not views.snapshot([RUNNING])
    views.launched([TaskId("t1")], HostId("h1"))
    assert not views.strays([RUNNING])


def test_after_a_reconnection_too() -> None:
    views = Views()
    views.believe(TaskId("t1"), HostId("h1"))
    again = RUNNING._replace(reason=Reason.RECONCILIATION, uuid=b"")
    assert views.snapshot([RUNNING]) == [RUNNING]
    assert not views.news(again)
    assert views.news(again._replace(draining=True))


def test_a_launch_with_a_task_that_lives_is_none_at_all() -> None:
    views = Views()
    views.launched([TaskId("t1")], HostId("h1"))
    for again in (["t2", "t1"], ["t2", "t2"]):
        with pytest.raises(InvalidInput, match=f"task '{again[1]}' has not ended"):
            views.launched([TaskId(each) for each in again], HostId("h1"))
    assert dict(views.believed()) == {"t1": "h1"}
