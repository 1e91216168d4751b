"""The executor's lifecycle: from what happens to a task to the next operation, and to the statuses it reports."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from executor.allow import parse_allowed
from executor.health import Check
from executor.lifecycle import Lifecycle
from executor.records import (
    DONE,
    NEVER,
    Adopted,
    Create,
    Exited,
    Killing,
    Lost,
    Observed,
    Operation,
    Outcome,
    Pull,
    Remove,
    Settled,
    Signal,
    Start,
    Task,
    Verdict,
)
from offerer import (
    SECOND,
    ContainerSpec,
    Device,
    FrameworkId,
    HostId,
    Mount,
    PortMapping,
    Probe,
    Reason,
    Resources,
    TaskId,
    TaskInfo,
)
from offerer.errors import InvalidInput, InvalidSpec
from offerer.resources import NOTHING
from offerer.task_states import TRANSITIONS, TaskState

F = FrameworkId("shop")
T = TaskId("web-1")
KEY = (F, T)
SPEC = ContainerSpec(image="web:1", stop_grace=5 * SECOND)
PROBED = dataclasses.replace(SPEC, readiness=Probe("/ready", 80), liveness=Probe(port=80, failures=2, grace=3 * SECOND))
AWAY = Outcome(Verdict.AWAY, message="the engine does not answer")
IMAGE_MISSING = Outcome(Verdict.IMAGE_MISSING, message="no such image: web:1")
REFUSED = Outcome(Verdict.FAILED, Reason.START_FAILED, "port is already allocated")


class Desk:
    """A lifecycle with a clock: `do` finishes the one operation it asks for, `statuses` is what it sent."""

    def __init__(self, *, creates: bool = True) -> None:
        self.now = 1_000 * SECOND
        self.lifecycle = Lifecycle(HostId("host-1"), b"incarnat", creates=creates)

    def launch(self, spec: ContainerSpec = SPEC, resources: Resources = NOTHING) -> None:
        self.lifecycle.on_launch(self.now, F, TaskInfo(T, resources, spec.to_bytes()))

    def kill(self, grace: int | None = None) -> None:
        self.lifecycle.on_kill(self.now, F, T, grace)

    def take(self, kind: type[Operation]) -> Operation:
        """The one operation that is asked for, of this kind."""
        operation = self.lifecycle.operations.popleft()
        assert type(operation) is kind and not self.lifecycle.operations
        return operation

    def do(self, kind: type[Operation], outcome: Outcome = DONE) -> Operation:
        operation = self.take(kind)
        self.lifecycle.on_done(self.now, operation, outcome)
        return operation

    def sent(self) -> list[tuple[str, str]]:
        """State and message of each status there is to send now."""
        return [(e.status.state.name, e.status.message) for e in self.lifecycle.statuses.take(self.now, 100)]

    def states(self) -> list[str]:
        return [state for state, _ in self.sent()]

    def later(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.lifecycle.on_time(self.now)
        self.lifecycle.check_invariants()

    def idle(self) -> None:
        assert not self.lifecycle.operations
        assert not self.lifecycle.statuses.ready
        self.lifecycle.check_invariants()

    def acknowledge(self) -> None:
        """Acknowledge the task's latest status."""
        entry = self.lifecycle.tasks[KEY].entry
        assert entry is not None
        self.lifecycle.on_acknowledged(entry.status.uuid)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_task_is_created_started_and_ends(desk: Desk) -> None:
    desk.launch()
    desk.do(Create, Outcome(container="c0ffee"))
    assert desk.states() == ["STARTING"]
    desk.do(Start, Outcome(data=b'{"ip":"172.17.0.2"}'))
    assert desk.states() == ["RUNNING"]
    desk.lifecycle.on_event(desk.now, Exited(KEY, 0))
    assert desk.sent() == [("FINISHED", "exited with code 0")]
    desk.acknowledge()
    assert not desk.lifecycle.tasks
    assert desk.lifecycle.marks == [Settled(KEY)]
    desk.idle()


def test_what_was_not_sent_is_replaced_by_what_came_after(desk: Desk) -> None:
    desk.launch()
    desk.do(Create)
    desk.do(Start)
    assert desk.states() == ["RUNNING"]


def test_a_terminal_status_is_never_replaced_nor_the_ones_already_sent(desk: Desk) -> None:
    desk.launch()
    desk.do(Create)
    desk.do(Start)
    desk.states()
    desk.lifecycle.on_event(desk.now, Exited(KEY, 1))
    desk.lifecycle.statuses.reconnected()
    assert desk.states() == ["RUNNING", "FAILED"]


def test_a_runtime_without_create_starts_at_once() -> None:
    desk = Desk(creates=False)
    desk.launch()
    desk.do(Start)
    assert desk.states() == ["RUNNING"]


def test_a_missing_image_is_pulled_and_the_user_told(desk: Desk) -> None:
    desk.launch()
    desk.do(Create, IMAGE_MISSING)
    assert desk.sent() == [("STARTING", "pulling image web:1")]
    desk.do(Pull)
    desk.do(Create)
    desk.do(Start)
    assert desk.states() == ["RUNNING"]


def test_pull_always_pulls_first(desk: Desk) -> None:
    desk.launch(dataclasses.replace(SPEC, pull="always"))
    desk.do(Pull)
    desk.do(Create)


def test_a_failed_start_says_why_and_leaves_no_container(desk: Desk) -> None:
    desk.launch()
    desk.do(Create)
    desk.do(Start, REFUSED)
    assert desk.sent() == [("FAILED", "port is already allocated")]
    desk.do(Remove)
    desk.idle()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (b"{", "not JSON"),
        (ContainerSpec(ports=(PortMapping(80, 31000),)).to_bytes(), "31000 is not among the ports"),
        (ContainerSpec(stop_signal="SIGNIX").to_bytes(), "'SIGNIX' is not a signal"),
    ],
)
def test_an_invalid_spec_is_an_error_and_runs_nothing(desk: Desk, spec: bytes, words: str) -> None:
    desk.lifecycle.on_launch(desk.now, F, TaskInfo(T, Resources.of(ports="8080"), spec))
    [(state, message)] = desk.sent()
    assert state == "ERROR" and words in message
    desk.idle()


def test_what_the_runtime_finds_invalid_is_an_error_too(desk: Desk) -> None:
    desk.launch()
    desk.do(Create, Outcome(Verdict.FAILED, Reason.INVALID_SPEC, "spec.user: no such user"))
    assert desk.sent() == [("ERROR", "spec.user: no such user")]
    desk.idle()


@pytest.mark.parametrize(
    ("exited", "expected"),
    [
        (Exited(KEY, 0), ("FINISHED", Reason.EXITED, 0)),
        (Exited(KEY, 3), ("FAILED", Reason.EXITED, 3)),
        (Exited(KEY, 137, out_of_memory=True), ("FAILED", Reason.OUT_OF_MEMORY, 137)),
    ],
)
def test_how_a_task_ended_by_itself(desk: Desk, exited: Exited, expected: tuple[str, Reason, int]) -> None:
    desk.launch()
    desk.do(Create)
    desk.do(Start)
    desk.lifecycle.on_event(desk.now, exited)
    [entry] = desk.lifecycle.statuses.take(desk.now, 10)
    assert (entry.status.state.name, entry.status.reason, entry.status.exit_code) == expected


def test_a_container_somebody_removed_is_lost(desk: Desk) -> None:
    desk.launch()
    desk.do(Create)
    desk.do(Start)
    desk.lifecycle.on_event(desk.now, Lost(KEY, "removed"))
    [entry] = desk.lifecycle.statuses.take(desk.now, 10)
    assert (entry.status.state, entry.status.reason) == (TaskState.FAILED, Reason.CONTAINER_LOST)


def test_an_exit_that_overtakes_the_answer_to_start(desk: Desk) -> None:
    desk.launch()
    desk.do(Create)
    start = desk.take(Start)
    desk.lifecycle.on_event(desk.now, Exited(KEY, 0))
    desk.lifecycle.on_done(desk.now, start, DONE)
    assert desk.states() == ["FINISHED"]
    desk.idle()


def test_launching_twice_runs_once_and_repeats_the_latest_status(desk: Desk) -> None:
    desk.launch()
    desk.launch()
    desk.do(Create)
    desk.do(Start)
    assert desk.states() == ["RUNNING"]
    desk.launch()
    assert desk.states() == []  # it is on its way already
    desk.acknowledge()
    desk.launch()
    assert desk.states() == ["RUNNING"]
    assert not desk.lifecycle.operations


class TestKill:
    def test_before_anything_was_done(self, desk: Desk) -> None:
        desk.launch()
        create = desk.take(Create)
        desk.kill()
        desk.lifecycle.on_done(desk.now, create, DONE)
        desk.do(Remove)
        assert desk.sent()[-1] == ("KILLED", "stopped before it was started")
        desk.idle()

    def test_while_the_image_is_pulled(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create, IMAGE_MISSING)
        pull = desk.take(Pull)
        desk.kill()
        assert desk.states() == ["KILLED"]
        desk.lifecycle.on_done(desk.now, pull, DONE)
        desk.idle()

    def test_while_it_starts(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        start = desk.take(Start)
        desk.kill()
        assert desk.states() == ["KILLING"]
        desk.lifecycle.on_done(desk.now, start, DONE)
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]
        desk.lifecycle.on_event(desk.now, Exited(KEY, 143))
        assert desk.states() == ["KILLED"]
        desk.idle()

    def test_a_start_that_fails_meanwhile_is_killed_too(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        start = desk.take(Start)
        desk.kill()
        desk.lifecycle.on_done(desk.now, start, REFUSED)
        assert desk.states() == ["KILLED"]
        desk.do(Remove)
        desk.idle()

    def test_stop_signal_then_grace_then_kill_signal(self, desk: Desk) -> None:
        desk.launch(dataclasses.replace(SPEC, stop_signal="SIGINT"))
        desk.do(Create)
        desk.do(Start)
        desk.kill()
        assert desk.do(Signal).signal == "SIGINT"  # type: ignore[union-attr]
        desk.later(4.9)
        assert not desk.lifecycle.operations
        desk.later(0.1)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]
        desk.lifecycle.on_event(desk.now, Exited(KEY, 137))
        [entry] = desk.lifecycle.statuses.take(desk.now, 10)
        assert (entry.status.state, entry.status.exit_code) == (TaskState.KILLED, 137)
        desk.later(100)
        assert not desk.lifecycle.operations

    def test_it_serves_on_for_its_shutdown_delay(self, desk: Desk) -> None:
        desk.launch(dataclasses.replace(SPEC, shutdown_delay=3 * SECOND))
        desk.do(Create)
        desk.do(Start)
        desk.kill()
        assert desk.states()[-1] == "KILLING"
        desk.later(2.9)
        desk.kill()  # asked again, nothing changes
        assert not desk.lifecycle.operations
        desk.later(0.1)
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]
        desk.later(4.9)
        assert not desk.lifecycle.operations
        desk.later(0.1)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_what_does_not_serve_yet_or_any_more_has_no_delay(self, desk: Desk) -> None:
        desk.launch(dataclasses.replace(PROBED, shutdown_delay=3 * SECOND))
        desk.do(Create)
        start = desk.take(Start)
        desk.kill()
        desk.lifecycle.on_done(desk.now, start, DONE)
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]

    def test_a_request_without_grace_cuts_the_delay_short(self, desk: Desk) -> None:
        desk.launch(dataclasses.replace(SPEC, shutdown_delay=60 * SECOND))
        desk.do(Create)
        desk.do(Start)
        desk.kill()
        desk.later(1)
        desk.kill(grace=0)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_a_restarted_executor_waits_for_the_rest_of_the_delay(self, desk: Desk) -> None:
        task = Task(KEY, NOTHING)
        task.spec = dataclasses.replace(SPEC, shutdown_delay=3 * SECOND)
        task.observed = Observed.RUNNING
        desk.lifecycle.on_adopted(desk.now, Adopted(task), Killing(KEY, desk.now + 7 * SECOND))
        assert not desk.lifecycle.operations
        desk.later(2)
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]

    def test_no_grace_kills_at_once(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        desk.do(Start)
        desk.kill(grace=0)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_a_second_request_can_only_shorten_the_grace(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        desk.do(Start)
        desk.kill(grace=5 * SECOND)
        desk.do(Signal)
        desk.kill(grace=60 * SECOND)
        desk.later(2)
        assert not desk.lifecycle.operations
        desk.kill(grace=0)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_what_outlives_the_kill_signal_gets_it_again(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        desk.do(Start)
        desk.kill(grace=0)
        desk.do(Signal)
        desk.later(10)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_of_a_task_nobody_knows(self, desk: Desk) -> None:
        desk.kill()
        assert desk.sent() == [("GONE", "this executor has no such task")]
        desk.lifecycle.statuses.reconnected()
        assert desk.states() == ["GONE"]

    def test_of_a_task_that_ended(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create, REFUSED)
        desk.kill()
        assert desk.states() == ["FAILED"]
        desk.idle()


class TestEngineAway:
    def test_an_operation_is_tried_again_until_the_engine_answers(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create, AWAY)
        assert desk.sent() == [("STARTING", "the engine does not answer")]
        desk.later(0.5)
        desk.do(Create, AWAY)
        desk.later(0.5)
        assert not desk.lifecycle.operations  # it backs off
        desk.later(0.5)
        desk.do(Create)
        desk.do(Start)
        assert desk.states() == ["RUNNING"]

    def test_a_stop_signal_is_tried_again_too(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        desk.do(Start)
        desk.kill()
        desk.do(Signal, AWAY)
        desk.later(0.5)
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]


class TestStatuses:
    def running(self, desk: Desk) -> None:
        desk.launch()
        desk.do(Create)
        desk.do(Start)

    def test_are_sent_again_with_back_off_until_acknowledged(self, desk: Desk) -> None:
        self.running(desk)
        assert desk.states() == ["RUNNING"]
        for wait in (10, 20, 40, 80, 160, 320, 600, 600):
            desk.later(wait - 1)
            assert desk.states() == []
            desk.later(1)
            assert desk.states() == ["RUNNING"]
        desk.acknowledge()
        desk.later(600)
        assert desk.states() == []

    def test_are_sent_again_at_once_on_a_new_connection(self, desk: Desk) -> None:
        self.running(desk)
        desk.states()
        desk.later(10)
        desk.states()
        desk.lifecycle.statuses.reconnected()
        assert desk.states() == ["RUNNING"]
        desk.later(10)  # the back-off starts anew
        assert desk.states() == ["RUNNING"]

    def test_have_an_id_of_their_own_and_say_where_and_when(self, desk: Desk) -> None:
        self.running(desk)
        [running] = desk.lifecycle.statuses.take(desk.now, 10)
        desk.lifecycle.on_event(desk.now, Exited(KEY, 0))
        [ended] = desk.lifecycle.statuses.take(desk.now, 10)
        assert len(running.status.uuid) == 16 and running.status.uuid != ended.status.uuid
        assert (running.status.host_id, running.status.at) == ("host-1", desk.now)

    def test_are_taken_in_portions(self) -> None:
        desk = Desk(creates=False)
        for n in range(7):
            desk.lifecycle.on_launch(desk.now, F, TaskInfo(TaskId(f"t{n}"), Resources(), SPEC.to_bytes()))
            desk.do(Start)
        sizes = [len(desk.lifecycle.statuses.take(desk.now, 3)) for _ in range(4)]
        assert sizes == [3, 3, 1, 0]

    def test_an_unknown_acknowledgement_is_ignored(self, desk: Desk) -> None:
        desk.lifecycle.on_acknowledged(b"of somebody else")
        desk.idle()


class TestAdoption:
    def adopted(self, observed: Observed) -> Task:
        task = Task(KEY, Resources.of(cpus=1))
        task.spec = SPEC
        task.observed = observed
        return task

    def test_of_a_running_task(self, desk: Desk) -> None:
        desk.lifecycle.on_adopted(desk.now, Adopted(self.adopted(Observed.RUNNING)), None)
        assert desk.states() == ["RUNNING"]
        desk.kill()
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]

    def test_of_one_that_ended_meanwhile(self, desk: Desk) -> None:
        desk.lifecycle.on_adopted(desk.now, Adopted(self.adopted(Observed.RUNNING), (Exited(KEY, 7),)), None)
        assert desk.sent() == [("FAILED", "exited with code 7")]
        desk.idle()

    def test_of_one_of_which_nothing_is_known(self, desk: Desk) -> None:
        desk.lifecycle.on_adopted(desk.now, Adopted(self.adopted(Observed.RUNNING), (Lost(KEY, "no trace"),)), None)
        assert desk.sent() == [("FAILED", "no trace")]
        desk.idle()

    def test_of_one_that_was_being_stopped(self, desk: Desk) -> None:
        killing = Killing(KEY, desk.now + 3 * SECOND)
        desk.lifecycle.on_adopted(desk.now, Adopted(self.adopted(Observed.RUNNING)), killing)
        assert desk.states() == ["KILLING"]
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]
        desk.later(3)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]

    def test_of_one_that_was_stopped_and_ended_meanwhile(self, desk: Desk) -> None:
        adopted = Adopted(self.adopted(Observed.RUNNING), (Exited(KEY, 143),))
        desk.lifecycle.on_adopted(desk.now, adopted, Killing(KEY, desk.now))
        assert desk.states() == ["KILLED"]

    def test_of_one_that_was_created_only(self, desk: Desk) -> None:
        desk.lifecycle.on_adopted(desk.now, Adopted(self.adopted(Observed.CREATED)), None)
        assert desk.states() == ["STARTING"]
        desk.do(Start)
        assert desk.states() == ["RUNNING"]


class TestHealth:
    def running(self, desk: Desk, spec: ContainerSpec = PROBED) -> None:
        desk.launch(spec)
        desk.do(Create)
        desk.do(Start)
        assert self.healthy(desk) == [None]

    def asked(self, desk: Desk) -> list[Check]:
        asked = list(desk.lifecycle.questions)
        desk.lifecycle.questions.clear()
        return asked

    def answer(self, desk: Desk, problem: str = "", *, live: bool = False) -> None:
        """Answer one question of this kind; it must have been asked."""
        [check] = [each for each in self.asked(desk) if each.liveness is live]
        desk.lifecycle.on_answered(desk.now, check, problem)

    def healthy(self, desk: Desk) -> list[bool | None]:
        entries = desk.lifecycle.statuses.take(desk.now, 100)
        for entry in entries:
            desk.lifecycle.on_acknowledged(entry.status.uuid)
        return [entry.status.healthy for entry in entries]

    def test_it_is_asked_at_once_and_until_it_is_ready_every_second_then_at_its_interval(self, desk: Desk) -> None:
        self.running(desk, dataclasses.replace(SPEC, readiness=Probe("/ready", 80)))
        self.answer(desk, "status 503")
        desk.later(0.9)
        assert self.asked(desk) == []
        desk.later(0.1)
        self.answer(desk)
        desk.later(4.9)
        assert self.asked(desk) == []
        desk.later(0.1)
        self.answer(desk)

    def test_changes_and_only_those_are_reported(self, desk: Desk) -> None:
        self.running(desk, dataclasses.replace(SPEC, readiness=Probe("/ready", 80, successes=2)))
        self.answer(desk)
        assert self.healthy(desk) == []
        desk.later(1)
        self.answer(desk)
        assert self.healthy(desk) == [True]
        for _ in range(2):
            desk.later(5)
            self.answer(desk, "status 503")
        desk.later(5)
        self.answer(desk)  # not in a row
        for _ in range(3):
            desk.later(5)
            assert self.healthy(desk) == []
            self.answer(desk, "status 503")
        assert desk.sent() == [("RUNNING", "GET :80/ready failed 3 times in a row: status 503")]

    def test_failures_in_its_grace_count_for_nothing(self, desk: Desk) -> None:
        self.running(desk, dataclasses.replace(SPEC, readiness=Probe("/ready", 80, grace=10 * SECOND)))
        for _ in range(12):
            self.answer(desk, "Connection refused")
            assert self.healthy(desk) == []
            desk.later(1)
        self.answer(desk, "Connection refused")
        assert self.healthy(desk) == [False]

    def test_one_that_does_not_live_is_stopped_and_has_failed(self, desk: Desk) -> None:
        self.running(desk)
        desk.later(4)
        for _ in range(2):
            self.answer(desk, "no answer within 2 s", live=True)
            desk.later(5)
        why = "connecting to port 80 failed 2 times in a row: no answer within 2 s"
        assert desk.sent() == [("KILLING", f"unhealthy: {why}")]
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]
        assert self.asked(desk) == []  # nobody asks one that is being stopped
        assert desk.lifecycle.marks == [Killing(KEY, desk.now, why)]
        desk.lifecycle.on_event(desk.now, Exited(KEY, 0))
        [entry] = desk.lifecycle.statuses.take(desk.now, 10)
        assert (entry.status.state, entry.status.reason) == (TaskState.FAILED, Reason.UNHEALTHY)
        assert entry.status.message == f"stopped because it was unhealthy: {why}"

    def test_one_that_is_killed_while_it_is_stopped_was_killed(self, desk: Desk) -> None:
        self.running(desk)
        desk.later(4)
        for _ in range(2):
            self.answer(desk, "nothing", live=True)
            desk.later(1)
        desk.kill()
        desk.do(Signal)
        desk.lifecycle.on_event(desk.now, Exited(KEY, 143))
        assert desk.states() == ["KILLED"]

    def test_one_probe_for_both_is_asked_once(self, desk: Desk) -> None:
        probe = Probe(port=80, failures=1, grace=0)
        self.running(desk, dataclasses.replace(SPEC, readiness=probe, liveness=probe))
        self.answer(desk, live=True)
        assert self.healthy(desk) == [True]
        desk.later(5)
        self.answer(desk, "Connection refused", live=True)
        assert desk.sent() == [("KILLING", "unhealthy: connecting to port 80 failed once: Connection refused")]

    def test_liveness_alone_says_whether_it_is_healthy(self, desk: Desk) -> None:
        self.running(desk, dataclasses.replace(SPEC, liveness=Probe(command=("true",))))
        self.answer(desk, live=True)
        assert self.healthy(desk) == [True]

    def test_an_adopted_task_is_asked_again_and_its_stop_for_ill_health_goes_on(self, desk: Desk) -> None:
        task = Task(KEY, Resources())
        task.spec, task.observed = PROBED, Observed.RUNNING
        desk.lifecycle.on_adopted(desk.now, Adopted(task), None)
        assert len(self.asked(desk)) == 2 and self.healthy(desk) == [None]
        other = Task((F, TaskId("b")), Resources())
        other.spec, other.observed = PROBED, Observed.RUNNING
        killing = Killing(other.key, desk.now, "it hangs")
        desk.lifecycle.on_adopted(desk.now, Adopted(other, (Exited(other.key, 137),)), killing)
        assert self.asked(desk) == []
        assert desk.sent() == [("FAILED", "stopped because it was unhealthy: it hangs")]

    def test_an_answer_after_the_end_is_ignored(self, desk: Desk) -> None:
        self.running(desk)
        asked = self.asked(desk)
        desk.lifecycle.on_event(desk.now, Exited(KEY, 0))
        for check in asked:
            desk.lifecycle.on_answered(desk.now, check, "")
        assert desk.states() == ["FINISHED"]


class TestPod:
    WEB = ContainerSpec(name="web", image="web:1")
    LOGS = ContainerSpec(name="logs", image="logs:1")
    SETUP = ContainerSpec(name="setup", image="web:1", command=("migrate",))
    POD = ContainerSpec(containers=(WEB, LOGS), init_steps=(SETUP,), stop_grace=5 * SECOND)

    def running(self, desk: Desk) -> None:
        desk.launch(self.POD)
        desk.do(Create)
        desk.do(Start)
        self.exited(desk, "setup", 0)
        desk.do(Start)
        assert desk.states() == ["RUNNING"]

    def exited(self, desk: Desk, container: str, code: int) -> None:
        desk.lifecycle.on_event(desk.now, Exited(KEY, code, container=container))

    def test_what_is_to_be_set_up_comes_first(self, desk: Desk) -> None:
        desk.launch(self.POD)
        desk.do(Create)
        desk.do(Start)
        assert desk.sent() == [("STARTING", "init step setup runs")]
        desk.idle()
        self.exited(desk, "setup", 0)
        self.exited(desk, "setup", 0)  # told again
        desk.do(Start)
        assert desk.states() == ["RUNNING"]

    def test_the_end_of_a_step_may_be_known_before_its_start(self, desk: Desk) -> None:
        desk.launch(self.POD)
        desk.do(Create)
        start = desk.take(Start)
        self.exited(desk, "setup", 0)
        desk.lifecycle.on_done(desk.now, start, DONE)
        desk.do(Start)
        assert desk.states() == ["RUNNING"]

    def test_when_a_step_fails_nothing_follows(self, desk: Desk) -> None:
        desk.launch(self.POD)
        desk.do(Create)
        desk.do(Start)
        self.exited(desk, "setup", 2)
        assert desk.sent()[-1] == ("FAILED", "init step setup exited with code 2")
        desk.take(Remove)

    def test_a_kill_during_a_step(self, desk: Desk) -> None:
        desk.launch(self.POD)
        desk.do(Create)
        desk.do(Start)
        desk.kill()
        desk.do(Signal)
        self.exited(desk, "setup", 0)
        assert desk.states()[-1] == "KILLED"
        desk.take(Remove)

    @pytest.mark.parametrize("first", ["web", "logs"])
    def test_all_end_with_the_first(self, desk: Desk, first: str) -> None:
        self.running(desk)
        self.exited(desk, first, 3)
        assert desk.sent() == [("KILLING", f"container {first} exited with code 3; stopping the others of its pod")]
        assert desk.do(Signal).signal == "SIGTERM"  # type: ignore[union-attr]
        desk.later(5)
        assert desk.do(Signal).signal == "SIGKILL"  # type: ignore[union-attr]
        self.exited(desk, "logs" if first == "web" else "web", 137)
        assert desk.sent() == [("FAILED", f"container {first} exited with code 3")]

    def test_a_kill_ends_when_all_have_ended(self, desk: Desk) -> None:
        self.running(desk)
        desk.kill()
        desk.do(Signal)
        self.exited(desk, "web", 0)
        assert desk.states() == ["KILLING"]
        self.exited(desk, "logs", 0)
        assert desk.states() == ["KILLED"]

    def test_one_that_ends_while_the_others_start(self, desk: Desk) -> None:
        desk.launch(dataclasses.replace(self.POD, init_steps=()))
        desk.do(Create)
        start = desk.take(Start)
        self.exited(desk, "web", 1)
        desk.lifecycle.on_done(desk.now, start, REFUSED)
        assert desk.sent()[-1] == ("FAILED", "container web exited with code 1")
        desk.take(Remove)

    def test_an_adopted_one_goes_on_from_where_it_is(self, desk: Desk) -> None:
        task = Task(KEY, Resources())
        task.spec, task.observed, task.position, task.alive = self.POD, Observed.RUNNING, 1, {"web", "logs"}
        ended = Exited(KEY, 1, container="logs")
        desk.lifecycle.on_adopted(desk.now, Adopted(task, (ended,)), None)
        assert desk.states() == ["KILLING"]
        desk.do(Signal)
        self.exited(desk, "web", 143)
        assert desk.sent() == [("FAILED", "container logs exited with code 1")]


def test_what_this_host_does_not_allow_is_an_error() -> None:
    desk = Desk()
    desk.lifecycle = Lifecycle(HostId("h"), b"incarnat", creates=True, allowed=parse_allowed(["mounts=/data"]))
    desk.launch(dataclasses.replace(SPEC, volumes=(Mount("/data/mysql", "/d"), Mount("/etc", "/e"))))
    assert desk.sent() == [
        (
            "ERROR",
            "spec.volumes.source: /etc is not allowed on this host; "
            "choose another host, or start its executor with --allow mounts=/etc",
        )
    ]


@pytest.mark.parametrize(
    ("allow", "spec", "allowed"),
    [
        ([], ContainerSpec(volumes=(Mount("/data", "/d"),), devices=(Device("/dev/fuse"),)), True),
        ([], ContainerSpec(privileged=True), False),
        ([], ContainerSpec(cap_add=("CAP_SYS_ADMIN",)), False),
        ([], ContainerSpec(cap_add=("NET_ADMIN",)), True),
        ([], ContainerSpec(containers=(ContainerSpec(name="a", privileged=True),)), False),
        (["privileged"], ContainerSpec(privileged=True, cap_add=("ALL",)), True),
        (["privileged"], ContainerSpec(volumes=(Mount("/data", "/d"),)), False),
        (["privileged"], ContainerSpec(volumes=(Mount("named", "/d"),)), True),
        (["mounts=/data,mounts=/srv/"], ContainerSpec(volumes=(Mount("/srv", "/d"),)), True),
        (["mounts=/data"], ContainerSpec(volumes=(Mount("/database", "/d"),)), False),
        (["mounts", "devices=/dev/fuse"], ContainerSpec(devices=(Device("/dev/sda"),)), False),
        (["none"], ContainerSpec(init_steps=(ContainerSpec(name="a", volumes=(Mount("/d", "/d"),)),)), False),
    ],
)
def test_what_a_host_allows(allow: list[str], spec: ContainerSpec, allowed: bool) -> None:
    try:
        parse_allowed(allow).check(spec)
    except InvalidSpec as error:
        assert not allowed and "is not allowed on this host" in str(error)
    else:
        assert allowed


@pytest.mark.parametrize("word", ["root", "mounts=data", "mounts=/../", "devices=", "privileged=yes", ""])
def test_a_wrong_allow_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match="--allow: .* is not one of privileged"):
        parse_allowed([word])


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: states move legally, nothing is lost, and every task can be ended."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.flying: list[Operation] = []
        self.reported: dict[TaskId, TaskState] = {}
        self.containers: dict[TaskId, Observed] = {}

    ids = st.sampled_from([TaskId("a"), TaskId("b")])
    specs = st.sampled_from([SPEC, dataclasses.replace(SPEC, pull="always"), PROBED])

    @rule(task_id=ids, spec=specs)
    def launch(self, task_id: TaskId, spec: ContainerSpec) -> None:
        if task_id not in self.reported or (F, task_id) in self.desk.lifecycle.tasks:
            self.desk.lifecycle.on_launch(self.desk.now, F, TaskInfo(task_id, Resources(), spec.to_bytes()))

    @rule(task_id=ids, grace=st.sampled_from([None, 0, 30 * SECOND]))
    def kill(self, task_id: TaskId, grace: int | None) -> None:
        if (F, task_id) in self.desk.lifecycle.tasks:
            self.desk.lifecycle.on_kill(self.desk.now, F, task_id, grace)

    @rule(outcome=st.sampled_from([DONE, DONE, DONE, AWAY, IMAGE_MISSING, REFUSED]), data=st.data())
    @precondition(lambda self: self.flying)
    def complete(self, outcome: Outcome, data: st.DataObject) -> None:
        operation = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        task_id = operation.task.task_id
        if outcome is IMAGE_MISSING and type(operation) is not Create:
            outcome = DONE
        if outcome is DONE:
            if type(operation) is Create:
                self.containers[task_id] = Observed.CREATED
            elif type(operation) is Start and self.containers.get(task_id) is Observed.CREATED:
                self.containers[task_id] = Observed.RUNNING
            elif type(operation) is Remove:
                assert self.containers.get(task_id) is not Observed.RUNNING, "removed what runs"
                self.containers.pop(task_id, None)
        self.desk.lifecycle.on_done(self.desk.now, operation, outcome)

    @rule(task_id=ids, lost=st.booleans())
    def end(self, task_id: TaskId, lost: bool) -> None:
        if self.containers.get(task_id) is Observed.RUNNING:
            self.containers[task_id] = Observed.ENDED
            key = (F, task_id)
            self.desk.lifecycle.on_event(self.desk.now, Lost(key, "gone") if lost else Exited(key, 1))

    @rule(problem=st.sampled_from(["", "no answer"]))
    @precondition(lambda self: self.desk.lifecycle.questions)
    def answer(self, problem: str) -> None:
        self.desk.lifecycle.on_answered(self.desk.now, self.desk.lifecycle.questions.popleft(), problem)

    @rule(seconds=st.sampled_from([0.5, 5, 11]))
    def wait(self, seconds: float) -> None:
        self.desk.later(seconds)

    @rule(reconnect=st.booleans(), acknowledge=st.booleans())
    def send(self, reconnect: bool, acknowledge: bool) -> None:
        if reconnect:
            self.desk.lifecycle.statuses.reconnected()
        for entry in self.desk.lifecycle.statuses.take(self.desk.now, 100):
            task_id, state = entry.status.task_id, entry.status.state
            known = self.reported.get(task_id, TaskState.STAGING)
            if state is not known and not known.terminal:  # what comes again is no news
                if state in TRANSITIONS[known]:
                    self.reported[task_id] = state
                else:
                    assert known > state, f"{known.name} → {state.name} is no repetition"
            if acknowledge:
                self.desk.lifecycle.on_acknowledged(entry.status.uuid)

    @invariant()
    def consistent(self) -> None:
        self.flying.extend(self.desk.lifecycle.operations)
        self.desk.lifecycle.operations.clear()
        self.desk.lifecycle.check_invariants()
        doing = [operation.task.task_id for operation in self.flying if operation.task.doing is operation]
        assert len(doing) == len(set(doing)), "two operations on one task"

    def teardown(self) -> None:
        """Kill everything, let every operation succeed and every container obey: then every task ends."""
        for task in list(self.desk.lifecycle.held()):
            self.desk.lifecycle.on_kill(self.desk.now, F, task.task_id, 0)
        for _ in range(20):
            self.desk.later(11)
            self.consistent()
            for operation in list(self.flying):
                self.flying.remove(operation)
                task = operation.task
                if type(operation) is Start:
                    self.containers[task.task_id] = Observed.RUNNING
                self.desk.lifecycle.on_done(self.desk.now, operation, DONE)
                if type(operation) is Signal:
                    self.containers[task.task_id] = Observed.ENDED
                    self.desk.lifecycle.on_event(self.desk.now, Exited(task.key, 137))
            self.send(reconnect=True, acknowledge=True)
        assert not self.desk.lifecycle.tasks, self.desk.lifecycle.tasks
        assert len(self.desk.lifecycle.statuses) == 0
        assert self.desk.lifecycle.next_deadline() == NEVER or self.desk.lifecycle.next_deadline() > self.desk.now


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
