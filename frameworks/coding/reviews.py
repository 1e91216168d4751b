"""Plans that were shown to somebody, by token: what was reviewed is what happens, or nothing does. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from frameworks.coding import orders
from frameworks.coding.diff import differences
from frameworks.coding.names import Target, TaskName
from frameworks.coding.placement import Host
from frameworks.coding.pushes import Push
from frameworks.coding.rehearsal import Rehearsal, Step, Turns, rehearse
from frameworks.coding.state import State
from offerer import Conflict, InvalidInput, NotFound, Time

KEPT: Final = 200
"""How many plans are remembered; each is small."""

_COMMANDS: Final = ("up", "update")


class Plan(NamedTuple):
    """What a command would do."""

    command: str
    """``up`` or ``update``."""
    targets: tuple[Target, ...]
    contents: Mapping[str, tuple[int, str]]
    """By service: the number of its newest revision, and a digest of what that says."""
    steps: tuple[Step, ...]

    @property
    def token(self) -> str:
        """Names this plan: another one has another token."""
        steps = [step._replace(reason="") for step in self.steps]
        told = json.dumps([self.command, self.targets, sorted(self.contents.items()), steps])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def places(self) -> dict[TaskName, str]:
        """Where it puts each task that it starts, by the host's name."""
        return {step.task: step.host for step in self.steps if step.action in ("start", "replace", "move")}


class Reviews:
    """Makes plans, and checks at the command they were made for that they still hold."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._plans: dict[str, Plan] = {}

    def make(
        self, hosts: Collection[Host], command: str, targets: Sequence[Target], push: Push | None, now: Time
    ) -> Turns[tuple[Plan, Rehearsal, list[dict[str, Any]]]]:
        """The plan of a command after this push, how it would go, and what the revisions differ in.

        Without a command, it is `update` where anything of the targets is up, else `up`. Raises as the command does.
        """
        if command not in ("", *_COMMANDS):
            raise InvalidInput(f"do: {command!r} cannot be planned; write {' or '.join(_COMMANDS)}")
        state = self._state
        if push is not None and push.revisions:
            state = state.copy()
            state.secrets.took_place(push.secrets)
            state.add_revisions(push.revisions)
        if not command:
            there = any(task.wanted is not None for task in state.covered(targets))
            command = "update" if there else "up"
        plan, rehearsal = yield from self._rehearse(state, hosts, command, targets, {}, now)
        self._plans.pop(plan.token, None)
        self._plans[plan.token] = plan
        while len(self._plans) > KEPT:
            del self._plans[next(iter(self._plans))]
        return plan, rehearsal, _differences(state, targets) if command == "update" else []

    def check(
        self, token: str, hosts: Collection[Host], command: str, targets: Sequence[Target], now: Time
    ) -> Turns[dict[TaskName, str]]:
        """The places of a plan that still holds. Raises `Conflict` where it does not, naming what is different."""
        again = f"look again with: offerer plan {' '.join(map(str, targets))}"
        plan = self._plans.get(token)
        if plan is None:
            raise NotFound(f"plan: no plan {token!r} is known; it may be of before a restart; {again}")
        if (plan.command, plan.targets) != (command, tuple(sorted(targets))):
            of = f"{plan.command} {' '.join(map(str, plan.targets))}"
            raise InvalidInput(f"plan: {token} is of another command; run: offerer {of} --plan {token}")
        self._check_contents(plan, again)
        now_it_is, _ = yield from self._rehearse(self._state, hosts, command, targets, plan.places, now)
        if _by_task(now_it_is) != _by_task(plan):  # what waits for long is not held to its place, now as when shown
            freely, _ = yield from self._rehearse(self._state, hosts, command, targets, {}, now)
            now_it_is = freely if _by_task(freely) == _by_task(plan) else now_it_is
        self._check_contents(plan, again)  # somebody may have pushed meanwhile
        before, after = _by_task(plan), _by_task(now_it_is)
        for task in dict.fromkeys([*before, *after]):
            if before.get(task) != after.get(task):
                was, is_now = _told(before.get(task)), _told(after.get(task))
                raise Conflict(f"{task} was to {was} and would now {is_now}; nothing is done: {again}")
        return plan.places

    def _check_contents(self, plan: Plan, again: str) -> None:
        for service, newest in _contents(self._state, plan.targets).items():
            if newest != plan.contents.get(service):
                number, _ = plan.contents.get(service, (0, ""))
                raise Conflict(f"the plan is of {service} r{number} as it was pushed or shown, now r{newest[0]} is the "
                               f"newest or says something else; push that file, or {again}")  # fmt: skip

    @staticmethod
    def _rehearse(
        state: State,
        hosts: Collection[Host],
        command: str,
        targets: Sequence[Target],
        places: Mapping[TaskName, str],
        now: Time,
    ) -> Turns[tuple[Plan, Rehearsal]]:
        def order(copy: State) -> orders.Answer:
            return orders.up(copy, targets, now) if command == "up" else orders.update(copy, targets, "", now)

        rehearsal = yield from rehearse(state, hosts, order, now, places=places)
        contents = _contents(state, targets)
        return Plan(command, tuple(sorted(targets)), contents, tuple(rehearsal.steps)), rehearsal


def _contents(state: State, targets: Sequence[Target]) -> dict[str, tuple[int, str]]:
    found = {}
    for target in targets:
        newest = state.newest(target.service)
        if newest is not None:
            told = json.dumps([newest.content(), newest.secrets], sort_keys=True)
            found[target.service] = newest.number, hashlib.sha256(told.encode()).hexdigest()
    return found


def _differences(state: State, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Field by field, what the newest revision says otherwise than those that the targets' tasks are wanted at."""
    rows = []
    for target in targets:
        newest = state.newest(target.service)
        wanted = {task.wanted for task in state.covered([target]) if task.wanted is not None}
        for number in sorted(wanted):
            revision = state.revisions[target.service].get(number)
            if newest is None or revision is None or revision is newest:
                continue
            within = f"jobs.{target.job}" if target.job else ""
            for each in differences(revision, newest):
                if not within or each.field == within or each.field.startswith(f"{within}."):
                    rows.append({"service": target.service, "from": number, "to": newest.number, **each._asdict()})
    return rows


def _by_task(plan: Plan) -> dict[TaskName, Step]:
    return {step.task: step._replace(reason="") for step in plan.steps}


def _told(step: Step | None) -> str:
    if step is None:
        return "stay as it is"
    where = f" on {step.host}" if step.host else ""
    return f"{step.action} from {step.from_host}{where}" if step.action == "move" else f"{step.action}{where}"
