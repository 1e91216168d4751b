"""What ``offerer batch`` shows: a job and an instance as plain data, each reason from the code that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from frameworks.batch.jobs import CANCELLED, Instance, Job
from frameworks.batch.planner import Planner
from frameworks.coding.backoff import waiting_text
from frameworks.coding.explain import shortage
from offerer import InvalidInput, TaskState, Time

STATES: Final = ("waiting", "running", "finished", "failed", "cancelled")


def job_row(planner: Planner, job: Job, now: Time) -> dict[str, Any]:
    """One job: how far it is, and why it does not get on where it does not."""
    return {
        "job": job.id,
        "name": job.spec.job,
        "state": state_text(job),
        "priority": job.spec.priority,
        "instances": job.size,
        "waiting": job.waiting,
        "running": job.live,
        "finished": job.finished,
        "failed": job.failed,
        "cancelled": job.size - job.live - job.waiting - job.finished - job.failed,
        "who": job.who,
        "file": job.file,
        "at": job.at,
        "started": job.started or None,
        "ended": job.ended or None,
        "reason": reason(planner, job, now),
    }


def state_text(job: Job) -> str:
    """``waiting``, ``running``, ``stopping``, ``finished``, ``failed`` or ``cancelled``."""
    if job.outcome:
        return job.outcome
    return "stopping" if job.stop else "running" if job.live or job.started else "waiting"


def reason(planner: Planner, job: Job, now: Time) -> str:
    """Why a job does not get on, or ended as it did."""
    parts = [job.stop] if job.stop else []
    if not job.outcome and not job.stop:
        parts += _waits(planner, job, now)
    if job.failed:
        parts.append(job.why)
    return "; ".join(parts)


def _waits(planner: Planner, job: Job, now: Time) -> list[str]:
    parts = []
    if job.startable:
        parts.append(shortage(job.plan, planner.hosts))
        if held := planner.held_host(job):
            parts.append(f"{held} is kept free for it")
    lost = Counter(each.host for each in job.instances.values() if each.status is TaskState.UNREACHABLE)
    parts += [f"{n} run on {host}, which does not answer" for host, n in lost.items()]
    later = [each for each in job.instances.values() if not each.live and not each.outcome and each.not_before > now]
    if later:
        first = min(later, key=lambda each: each.not_before)
        parts.append(f"{len(later)} to be tried again; instance {first.index}: {instance_reason(first, now)}")
    return parts


def instance_row(job: Job, instance: Instance, now: Time) -> dict[str, Any]:
    """One instance: where it is or was, and what became of it."""
    return {
        "instance": instance.index,
        "state": instance_state(instance),
        "task_id": job.task_id(instance),
        "host": instance.host,
        "host_id": instance.host_id,
        "attempt": instance.attempt,
        "failures": instance.failures,
        "started": instance.started or None,
        "ended": instance.ended or None,
        "exit_code": instance.exit_code,
        "reason": instance_reason(instance, now),
    }


def instance_state(instance: Instance) -> str:
    """The state of its container, or how it ended, or WAITING."""
    if instance.live:
        return (instance.status or TaskState.STAGING).name if instance.launched else "WAITING"
    return instance.outcome or "WAITING"


def instance_reason(instance: Instance, now: Time) -> str:
    """How its last launch ended, and when the next is due."""
    if instance.live or instance.outcome:
        return instance.message if instance.outcome not in ("", "FINISHED", CANCELLED) else ""
    if instance.not_before <= now:
        return instance.message
    return f"{instance.message}; {waiting_text(instance.not_before, instance.attempt, now)}"


def chosen(instances: Sequence[Instance], state: str) -> list[Instance]:
    """Those in this state; without one all, those that failed first, then those that run, then the rest."""
    if state and state not in STATES:
        raise InvalidInput(f"state: {state!r} is none of {', '.join(STATES)}")
    groups: dict[str, list[Instance]] = {each: [] for each in ("failed", "running", "waiting", "cancelled", "finished")}
    for each in instances:
        groups["running" if each.live else (each.outcome or "waiting").lower()].append(each)
    return groups[state] if state else [each for group in groups.values() for each in group]
