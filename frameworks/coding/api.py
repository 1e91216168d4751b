"""What the `offerer` commands ask of the framework: method and arguments as JSON in, JSON out.

Whatever changes is in the store before the answer goes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from frameworks.coding import balance, explain, obstacles, orders, rollout, views
from frameworks.coding.arguments import Arguments, environment_of, pushed_files, revision_number, string, utf8
from frameworks.coding.calls import Calls
from frameworks.coding.diff import differences
from frameworks.coding.history import prefix_of, read_entry
from frameworks.coding.names import EVERY_ENVIRONMENT, Target, TaskName, environment_in, natural, parse_target
from frameworks.coding.once import run_once
from frameworks.coding.planner import Planner
from frameworks.coding.pushes import Push, prepare_push
from frameworks.coding.records import Task
from frameworks.coding.rehearsal import Turns
from frameworks.coding.reviews import Reviews
from frameworks.coding.secret_calls import SecretCalls
from frameworks.coding.spec import MAX_REPLICAS
from frameworks.coding.state import State
from offerer import Compare, Conflict, Context, InvalidInput, NotFound, Put, Time

T = TypeVar("T")
_MANY: Final = 1_000_000
_HISTORY: Final = 20


class Api(Calls):
    """Answers calls. `save` returns once everything changed so far is safe in the store, `wait` after some seconds."""

    def __init__(
        self,
        state: State,
        planner: Planner,
        context: Context,
        save: Callable[[], Awaitable[None]],
        wait: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__("coding", planner, context, wait)
        self._state = state
        self._planner = planner
        self._save = save
        self._reviews = Reviews(state)
        self._methods = {
            "push": self._push,
            "up": self._up,
            "update": self._update,
            "down": self._down,
            "plan": self._plan,
            "status": self._status,
            "ps": self._ps,
            "inspect": self._inspect,
            "history": self._history,
            "services": self._services,
            "task": self._task,
            "rollback": self._rollback,
            "restart": self._restart,
            "scale": self._scale,
            "run": self._run,
            "rebalance": self._rebalance,
            "diff": self._diff,
            "why": self._why,
            "rollout": self._rollout,
            "pause": self._pause,
            "resume": self._resume,
            "promote": self._promote,
            "abort": self._abort,
            **SecretCalls(state, context).methods,
        }

    # -- what changes something --

    async def _push(self, arguments: Arguments) -> dict[str, object]:
        push = self._checked_push(arguments)
        if push.revisions:
            changes = [*push.secrets, *(Put(revision.key, revision.to_bytes()) for revision in push.revisions)]
            new = [change.key for change in changes if isinstance(change, Put)]
            try:
                await self._context.store.transact(changes, [Compare(key, 0) for key in new])
            except Conflict:
                raise Conflict("somebody else pushed one of these services at the same time; push again") from None
            self._state.secrets.took_place(push.secrets)
            self._state.add_revisions(push.revisions)
            self._context.wake()
        services = [{**views.revision_row(each), "changed": True} for each in push.revisions]
        services += [{**views.revision_row(each), "changed": False} for each in push.unchanged]
        return {"services": sorted(services, key=lambda row: str(row["service"])), "warnings": push.warnings}

    def _checked_push(self, arguments: Arguments) -> Push:
        files, who, message = pushed_files(arguments), string(arguments, "who"), string(arguments, "message")
        return prepare_push(self._state, files, who, message, self._now())

    async def _up(self, arguments: Arguments) -> dict[str, object]:
        targets, who = self._targets(arguments), string(arguments, "who")
        places = await self._reviewed("up", targets, arguments)
        before = set(self._state.everywhere)
        answer = orders.up(self._state, targets, self._now())
        new = [job for job in self._state.everywhere if job not in before]
        if new:
            await self._look()  # the hosts that are offered now get their tasks
            tasks = [name for job in new for name in self._state.newest_tasks(Target(*job))]
            answer = answer._replace(changed=list(dict.fromkeys([*answer.changed, *sorted(tasks, key=natural)])))
        return await self._carry_out("up", who, answer, places)

    async def _update(self, arguments: Arguments) -> dict[str, object]:
        targets, who = self._targets(arguments), string(arguments, "who")
        places = await self._reviewed("update", targets, arguments)
        return await self._carry_out("update", who, orders.update(self._state, targets, who, self._now()), places)

    async def _reviewed(self, command: str, targets: list[Target], arguments: Arguments) -> dict[TaskName, str]:
        """The places that a reviewed plan gives to tasks, where the command is to hold to one."""
        token = string(arguments, "plan")
        if not token:
            return {}
        await self._look()
        hosts = self._planner.hosts_to_plan
        return await self._in_turns(self._reviews.check(token, hosts, command, targets, self._now()))

    async def _rollback(self, arguments: Arguments) -> dict[str, object]:
        (target,) = self._targets(arguments, only_one=True)
        to, who = revision_number(arguments, "to"), string(arguments, "who")
        return await self._carry_out("rollback", who, orders.rollback(self._state, target, to, who, self._now()))

    async def _restart(self, arguments: Arguments) -> dict[str, object]:
        targets, who = self._targets(arguments), string(arguments, "who")
        return await self._carry_out("restart", who, orders.restart(self._state, targets, who, self._now()))

    async def _scale(self, arguments: Arguments) -> dict[str, object]:
        (target,) = self._targets(arguments, only_one=True)
        replicas, who = arguments.get("replicas"), string(arguments, "who")
        if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= MAX_REPLICAS:
            fix = f"; to have none, use: offerer down {target}" if replicas == 0 else ""
            raise InvalidInput(f"replicas: {replicas!r} must be a number from 1 to {MAX_REPLICAS}{fix}")
        answer = orders.scale(self._state, target, replicas, who, self._now())
        return await self._carry_out("scale", who, answer, why=f"{target} is to have {replicas}")

    async def _run(self, arguments: Arguments) -> dict[str, object]:
        """A one-off task."""
        (target,) = self._targets(arguments, only_one=True)
        command = arguments.get("command", [])
        if not isinstance(command, list) or not all(isinstance(each, str) for each in command):
            raise InvalidInput(f"command: {command!r} must be a list of strings")
        task = run_once(self._state, target, [utf8("command", each) for each in command], self._now())
        await self._save()
        return {"task": str(task.name), "revision": task.wanted}

    async def _rebalance(self, arguments: Arguments) -> dict[str, object]:
        """The moves that would improve things; carried out unless it is only for a `plan`."""
        everywhere = {"environment": EVERY_ENVIRONMENT}  # hosts are those of all of them
        targets = self._targets({**everywhere, **arguments}, default_all=True)
        only_plan = arguments.get("plan", False)
        await self._look()
        names = {task.name for task in self._state.covered(targets)}
        hosts, offered = self._planner.hosts_there, self._planner.seen
        moves = await self._in_turns(balance.propose(self._state, hosts, offered, names))
        if moves and not only_plan:
            balance.set_going(self._state, moves)
            await self._save()
            self._context.wake()
        return {"moves": [{**move._asdict(), "task": str(move.task)} for move in moves]}

    async def _pause(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        rollout.pause(self._state, service, string(arguments, "who"))
        return await self._turned(service)

    async def _resume(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        rollout.resume(self._state, service, self._now())
        return await self._turned(service)

    async def _promote(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        rollout.promote(self._state, service, self._now())
        return await self._turned(service)

    async def _abort(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        rollout.abort(self._state, service, string(arguments, "who"), self._now())
        return await self._turned(service)

    async def _turned(self, service: str) -> dict[str, object]:
        await self._save()
        return {"update": views.update_row(self._state, service, self._now())}

    async def _down(self, arguments: Arguments) -> dict[str, object]:
        who = string(arguments, "who")
        return await self._carry_out("down", who, orders.down(self._state, self._targets(arguments), self._now()))

    async def _carry_out(
        self, what: str, who: str, answer: orders.Answer, places: Mapping[TaskName, str] | None = None, why: str = ""
    ) -> dict[str, object]:
        for service in dict.fromkeys(name.service for name in answer.changed):
            tasks = [name for name in answer.changed if name.service == service]
            rollout.note_deployment(self._state, service, tasks, what, who, why, self._now())
        for name in answer.changed:
            task, planned = self._state.task(name), (places or {}).get(name, "")
            if task.planned != planned:
                task.planned = planned
                self._state.changed(task)
        await self._save()
        return {
            "changed": [str(name) for name in answer.changed],
            "unchanged": [str(name) for name in answer.unchanged],
            "notes": answer.notes,
        }

    # -- what only looks --

    async def _plan(self, arguments: Arguments) -> dict[str, object]:
        """What `up` or `update` would do, after pushing these files where some are given."""
        push = self._checked_push(arguments) if arguments.get("files") else None
        pushed = [*push.revisions, *push.unchanged] if push else []
        targets = [Target(revision.service) for revision in pushed]
        if not pushed or arguments.get("target"):
            targets += self._targets(arguments)
        await self._look()
        do, hosts = string(arguments, "do"), self._planner.hosts_to_plan
        made = self._reviews.make(hosts, do, targets, push, self._now())
        plan, rehearsal, differs = await self._in_turns(made)
        return {
            "command": plan.command,
            "targets": [str(target) for target in plan.targets],
            "token": plan.token,
            "differences": differs,
            "steps": [{**step._asdict(), "task": str(step.task)} for step in plan.steps],
            "unchanged": rehearsal.unchanged,
            "notes": [*(push.warnings if push else ()), *rehearsal.notes],
        }

    async def _in_turns(self, work: Turns[T]) -> T:
        """What comes of this work, which others may interrupt."""
        while True:
            try:
                next(work)
            except StopIteration as end:
                found: T = end.value
                return found
            await self._wait(0)

    async def _status(self, arguments: Arguments) -> dict[str, object]:
        targets = self._targets(arguments, default_all=True)
        return {
            "services": views.service_rows(self._state, targets, self._now()),
            "environments": sorted({environment_in(each) for each in self._state.revisions} - {""}),
            "problems": [self._state.problems[key] for key in sorted(self._state.problems)],
            "scales": views.scales(self._state, targets),
            "now": self._now(),
        }

    async def _ps(self, arguments: Arguments) -> dict[str, object]:
        targets = self._targets(arguments, default_all=True)
        tasks = views.task_rows(self._state, targets, self._now())
        return {"tasks": tasks, "scales": views.scales(self._state, targets), "now": self._now()}

    async def _diff(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        orders.check_pushed(self._state, Target(service), or_up=True)
        revisions = self._state.revisions[service]
        newest = max(revisions)
        after = revision_number(arguments, "to") or newest
        before = revision_number(arguments, "from") or max((each for each in revisions if each < after), default=after)
        for number in (before, after):
            orders.check_revision(self._state, service, number)
        found = differences(revisions[before], revisions[after])
        return {
            "service": service,
            "from": before,
            "to": after,
            "differences": [each._asdict() for each in found],
            "scales": views.scales(self._state, [Target(service)]),
        }

    async def _why(self, arguments: Arguments) -> dict[str, object]:
        targets = self._targets(arguments)
        for target in targets:
            orders.check_pushed(self._state, target, or_up=True)
        tasks = self._state.covered(targets)
        late = [task for task in tasks if not task.settled or task.leaving]
        if any(explain.waits_for_place(self._state, task, self._now()) for task in late):
            await self._look()
        now = self._now()
        return {
            "tasks": [explain.why(self._state, self._planner.hosts, task, now) for task in late],
            "settled": sum(task.wanted is not None and task.settled and not task.leaving for task in tasks),
            "down": sum(task.wanted is None and task.settled for task in tasks),
            "now": now,
        }

    async def _rollout(self, arguments: Arguments) -> dict[str, object]:
        service = self._service(arguments)
        orders.check_pushed(self._state, Target(service), or_up=True)
        tasks = views.task_rows(self._state, [Target(service)], self._now())
        return {"update": views.update_row(self._state, service, self._now()), "tasks": tasks, "now": self._now()}

    async def _services(self, arguments: Arguments) -> dict[str, object]:
        environment = environment_of(arguments)
        services = [each for each in sorted(self._state.revisions) if environment_in(each) == environment]
        newest = [self._state.newest(service) for service in services]
        return {"services": [views.revision_row(revision) for revision in newest if revision]}

    async def _inspect(self, arguments: Arguments) -> dict[str, object]:
        (target,) = self._targets(arguments, only_one=True)
        orders.check_pushed(self._state, target, or_up=True)
        now, newest = self._now(), self._state.newest(target.service)
        revisions = self._state.revisions.get(target.service, {})
        answer: dict[str, object] = {
            "target": str(target),
            "service": views.service_row(self._state, target, now),
            "revisions": [views.revision_row(revisions[number]) for number in sorted(revisions, reverse=True)],
            "tasks": [views.task_row(self._state, task, now) for task in self._state.covered([target])],
        }
        if newest:
            content = newest.content()
            answer["newest"] = content if not target.job else content["jobs"].get(target.job)
            answer["file"] = newest.text
        if target.task:
            answer["history"] = await self._entries([target], _HISTORY)
        return answer

    async def _history(self, arguments: Arguments) -> dict[str, object]:
        limit = arguments.get("limit", _HISTORY)
        if not isinstance(limit, int) or not 1 <= limit <= _MANY:
            raise InvalidInput(f"limit: {limit!r} must be a whole number from 1 to {_MANY}")
        targets = self._targets(arguments, default_all=True)
        for target in targets:
            orders.check_pushed(self._state, target, or_up=True)
        rows = [
            views.revision_row(revision)
            for service in dict.fromkeys(target.service for target in targets)
            for _, revision in sorted(self._state.revisions[service].items())
        ]
        return {
            "containers": await self._entries(targets, limit),
            "revisions": rows,
            "scales": views.scales(self._state, targets),
            "now": self._now(),
        }

    async def _entries(self, targets: Sequence[Target], limit: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for target in targets:
            entries, _ = await self._context.store.range(prefix_of(target))
            rows += [read_entry(entry) for entry in entries]
        rows += [_live_entry(task) for task in self._state.covered(targets) if task.run and task.run.launched]
        rows.sort(key=lambda row: (row["placed"], row["task_id"]), reverse=True)
        return rows[:limit]

    async def _task(self, arguments: Arguments) -> dict[str, object]:
        """The container that a target means: the one that runs, else the last that did."""
        (target,) = self._targets(arguments, only_one=True)
        orders.check_pushed(self._state, target, or_up=True)
        found = [task for task in self._state.covered([target]) if task.run or task.last]
        if len(found) > 1:
            found = [task for task in found if task.run] or found
        if not found:
            late = [task for task in self._state.covered([target]) if task.wanted is not None]
            fix = f"what it waits for says: offerer why {target}" if late else f"start it with: offerer up {target}"
            raise NotFound(f"no container of {target} ever ran; {fix}")
        if len(found) > 1:
            names = ", ".join(str(task.name) for task in sorted(found, key=lambda task: natural(task.name)))
            raise InvalidInput(f"{target} has {len(found)} tasks; name one of {names}")
        task = found[0]
        run, last = task.run, task.last
        if run is not None and run.launched:
            where = {"task_id": run.id, "host": run.host, "host_id": run.host_id, "live": True}
        elif last is not None:
            where = {"task_id": last.id, "host": last.host, "host_id": None, "live": False}
        else:
            raise NotFound(f"no container of {task.name} ran yet: {obstacles.reason(self._state, task, self._now())}")
        ended = asdict(last) if last is not None else None
        return {"target": str(task.name), "state": views.state_text(task), **where, "ended": ended}

    # -- arguments --

    def _targets(self, arguments: Arguments, *, default_all: bool = False, only_one: bool = False) -> list[Target]:
        """The argument `target`, one or a list. Without it, every service where that makes sense."""
        given = arguments.get("target")
        everything = default_all and arguments.get("environment") == EVERY_ENVIRONMENT
        environment = "" if everything else environment_of(arguments)
        if given in (None, []) and default_all:
            services = sorted(self._state.revisions)
            wanted = [each for each in services if everything or environment_in(each) == environment]
            return [Target(service) for service in wanted]
        listed = given if isinstance(given, list) else [given]
        targets = [parse_target(each, environment) for each in listed]
        if not targets or only_one and len(targets) != 1:
            count = "one" if only_one else "at least one"
            raise InvalidInput(f"target: name {count} SERVICE, SERVICE/JOB or SERVICE/JOB/TASK")
        if default_all:
            for target in targets:
                orders.check_pushed(self._state, target, or_up=True)
        return targets

    def _service(self, arguments: Arguments) -> str:
        """The argument `target` where it has to be one service."""
        (target,) = self._targets(arguments, only_one=True)
        if target.job:
            raise InvalidInput(f"target: {target} is part of a service; an update is one of {target.service}")
        return target.service

    def _now(self) -> Time:
        return self._context.now()


def _live_entry(task: Task) -> dict[str, Any]:
    """A container that has not ended, in the form of a history entry."""
    run = task.run
    assert run is not None
    return {
        "task": str(task.name),
        "task_id": run.id,
        "revision": run.revision,
        "image_digest": run.image_digest,
        "container": run.container,
        "host": run.host,
        "placed": run.placed,
        "started": run.started,
        "ended": None,
        "state": views.state_text(task),
        "exit_code": None,
        "reason": "NONE",
        "message": run.message,
    }
