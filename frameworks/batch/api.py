"""What ``offerer batch`` asks of the framework: method and arguments as JSON in, JSON out.

Whatever changes is in the store before the answer goes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from frameworks.batch import views
from frameworks.batch.jobs import Instance, Job, read_instances
from frameworks.batch.names import parse_instance
from frameworks.batch.planner import Planner
from frameworks.batch.spec import check_job
from frameworks.batch.state import NUMBER, State
from frameworks.coding.arguments import Arguments, string
from frameworks.coding.calls import Calls
from frameworks.coding.names import did_you_mean
from offerer import Context, InvalidInput, NotFound, Put

_MANY: Final = 100_000
_ROWS: Final = 20


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
        super().__init__("batch", planner, context, wait)
        self._state = state
        self._planner = planner
        self._save = save
        self._methods = {
            "submit": self._submit,
            "list": self._list,
            "show": self._show,
            "cancel": self._cancel,
            "task": self._task,
        }

    async def _submit(self, arguments: Arguments) -> dict[str, object]:
        settings = arguments.get("settings", {})
        if not isinstance(settings, dict):
            raise InvalidInput("settings: give the fields of a job file, by name")
        file, who = string(arguments, "file"), string(arguments, "who")
        spec = check_job(file, string(arguments, "text"), settings)
        now = self._context.now()
        job = self._state.prepare(spec, file, who, now)
        await self._context.store.transact(
            [Put(NUMBER, str(self._state.number).encode()), Put(job.key, job.to_bytes())]
        )
        self._state.add(job)
        self._context.wake()
        return {"job": views.job_row(self._planner, job, now)}

    async def _cancel(self, arguments: Arguments) -> dict[str, object]:
        given, who = arguments.get("jobs"), string(arguments, "who")
        jobs = [self._job(each) for each in (given if isinstance(given, list) else [])]
        if not jobs:
            raise InvalidInput("jobs: name at least one JOB, for example resize-7")
        now = self._context.now()
        changed = [job for job in dict.fromkeys(jobs) if not job.outcome and not job.stop]
        for job in changed:
            self._planner.stop(self._state.stop(job, f"cancelled by {who or 'somebody'}", "cancelled", now), now)
        self._context.wake()
        await self._save()
        rows = [views.job_row(self._planner, job, now) for job in jobs]
        return {"changed": [job.id for job in changed], "jobs": rows}

    async def _list(self, arguments: Arguments) -> dict[str, object]:
        limit, all_ = _limit(arguments), arguments.get("all") is True
        jobs = [*self._state.queue, *(job for _, job in zip(range(limit), reversed(self._state.ended)) if all_)]
        return {
            "jobs": [views.job_row(self._planner, job, self._context.now()) for job in jobs],
            "ended": len(self._state.ended),
            "problems": [self._state.problems[key] for key in sorted(self._state.problems)],
            "now": self._context.now(),
        }

    async def _show(self, arguments: Arguments) -> dict[str, object]:
        job, limit = self._job(arguments.get("job")), _limit(arguments)
        if arguments.get("look") is True and job.startable:
            await self._look()
        instances = await self._instances(job)
        found = views.chosen(instances, string(arguments, "state"))
        now = self._context.now()
        return {
            "job": views.job_row(self._planner, job, now),
            "spec": job.spec.content(),
            "instances": [views.instance_row(job, each, now) for each in found[:limit]],
            "found": len(found),
            "now": now,
        }

    async def _task(self, arguments: Arguments) -> dict[str, object]:
        """The container that an instance has, or had last."""
        target = arguments.get("target")
        name, index = parse_instance(target)
        job = self._job(name)
        if index is None and job.size > 1:
            raise InvalidInput(f"{job.id} has {job.size} instances; name one, for example {job.id}/0")
        if (index or 0) >= job.size:
            raise NotFound(f"{job.id} has no instance {index}; the last is {job.id}/{job.size - 1}")
        found = [each for each in await self._instances(job) if each.index == (index or 0) and each.attempt]
        if not found or found[0].live and not found[0].launched:
            raise NotFound(f"no container of {job.id}/{index or 0} ran yet")
        row = views.instance_row(job, found[0], self._context.now())
        return {"target": f"{job.id}/{index or 0}", "task_id": row["task_id"], "host": row["host"],
                "host_id": row["host_id"], "state": row["state"], "live": found[0].live}  # fmt: skip

    # -- inside --

    async def _instances(self, job: Job) -> list[Instance]:
        """Those that were ever placed. Of a job that has ended, the store has them."""
        if not job.outcome:
            return [job.instances[index] for index in sorted(job.instances)]
        await self._save()
        entries, _ = await self._context.store.range(job.progress_prefix)
        return read_instances(entry.value for entry in entries)

    def _job(self, name: object) -> Job:
        """The job of this id; of a name without number, the newest of that name."""
        job = self._state.jobs.get(name) if isinstance(name, str) else None
        if job is None:
            named = [each for each in self._state.jobs.values() if each.spec.job == name]
            if not named:
                hint = did_you_mean(str(name), self._state.jobs) or "; see offerer batch list --all"
                raise NotFound(f"there is no job {name!r}{hint}")
            job = max(named, key=lambda each: each.number)
        return job


def _limit(arguments: Arguments) -> int:
    limit = arguments.get("limit", _ROWS)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= _MANY:
        raise InvalidInput(f"limit: {limit!r} must be a whole number from 0 to {_MANY}")
    return limit
