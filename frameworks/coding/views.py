"""What `status`, `ps` and `inspect` answer: the state as plain data, each reason from the code that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from frameworks.coding.names import Target
from frameworks.coding.obstacles import reason
from frameworks.coding.revisions import Revision
from frameworks.coding.rollout import remaining, under_way
from frameworks.coding.records import Task
from frameworks.coding.state import State
from offerer import PortMapping, TaskState, Time


def task_rows(state: State, targets: Sequence[Target], now: Time) -> list[dict[str, Any]]:
    """One row per task that is up or still stopping, in order."""
    return [
        task_row(state, task, now)
        for task in state.covered(targets)
        if task.wanted is not None or task.containers or task.strays
    ]


def task_row(state: State, task: Task, now: Time) -> dict[str, Any]:
    """One task: what is wanted of it, what runs, and why that is not the same where it is not."""
    run = task.run
    return {
        "service": task.name.service,
        "job": task.name.job,
        "task": task.name.task,
        "wanted": "down" if task.wanted is None else "up",
        "wanted_revision": task.wanted,
        "state": state_text(task),
        "settled": task.settled,
        "task_id": run.id if run else None,
        "host": run.host if run else None,
        "host_id": run.host_id if run else None,
        "address": address_text(run.address or run.host, run.ports) if run else "",
        "ports": [asdict(port) for port in run.ports] if run else [],
        "revision": run.revision if run else None,
        "since": (run.since or run.placed) if run else task.last.at if task.last else task.since,
        "started": (run.started or None) if run else None,
        "healthy": run.healthy if run else None,
        "ready": task.ready,
        "serving": [
            {"task_id": each.id, "host": each.host, "address": address_text(each.address or each.host, each.ports)}
            for each in task.containers
            if each.ready
        ],
        "replaces": [run.id for run in task.old],
        "leaving": task.leaving.host if task.leaving else None,
        "tied": task.tied,
        "ends": state.ends_by_itself(task),
        "failures": task.failures,
        "refused": task.refused,
        "reason": reason(state, task, now),
        "last": asdict(task.last) if task.last else None,
    }


def state_text(task: Task) -> str:
    """The name of the state its container is in; without one, WAITING or DOWN."""
    if task.run is None:
        if task.wanted is None:
            return "KILLING" if task.old else "DOWN"
        return "FINISHED" if task.wanted == task.finished else "WAITING"
    if not task.run.launched:
        return "WAITING"
    return (task.run.state or TaskState.STAGING).name


def address_text(address: str, ports: Sequence[PortMapping]) -> str:
    """``10.0.0.7:31987``; several ports ``10.0.0.7:80,443``; none ``-``."""
    return f"{address}:{','.join(str(port.host) for port in ports)}" if ports else ""


def scales(state: State, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """The jobs that have another number of tasks than their file says."""
    return [
        {"job": str(job), **asdict(scale)}
        for job, scale in sorted(state.scales.items())
        if any(each.service == job.service and each.job in ("", job.job) for each in targets)
    ]


def service_rows(state: State, targets: Sequence[Target], now: Time) -> list[dict[str, Any]]:
    """One row per service: newest revision, the revisions that run, how many tasks are as wanted."""
    return [service_row(state, target, now) for target in targets]


def service_row(state: State, target: Target, now: Time) -> dict[str, Any]:
    """One service, or the part of it that the target means."""
    tasks = [task for task in state.covered([target]) if not task.once]
    up = [task for task in tasks if task.wanted is not None]
    newest = state.newest(target.service)
    unsettled = [task for task in tasks if not task.settled]
    reasons = Counter(reason(state, task, now) for task in tasks if not task.settled or task.leaving)
    return {
        "service": str(target),
        "newest_revision": newest.number if newest else None,
        "pushed_at": newest.at if newest else None,
        "revisions": sorted({run.revision for task in tasks for run in task.containers}),
        "tasks": len(list(state.newest_tasks(target))),
        "up": len(up),
        "running": sum(task.running for task in up),
        "stopping": sum(task.wanted is None for task in unsettled),
        "settled": not unsettled and target.service not in state.updates,
        "update": _update_to_show(state, target.service, up, now),
        "reasons": [f"{why} (×{n})" if n > 1 else why for why, n in reasons.most_common() if why],
    }


def _update_to_show(state: State, service: str, up: Sequence[Task], now: Time) -> dict[str, Any] | None:
    """The update under way; of one that came to nothing, how it ended, as long as something is not at the newest."""
    newest, row = state.newest(service), update_row(state, service, now)
    if row is None or not row["outcome"]:
        return row
    behind = newest is not None and any(task.wanted != newest.number for task in up)
    return row if behind and row["outcome"] != "done" else None


def update_row(state: State, service: str, now: Time) -> dict[str, Any] | None:
    """How far the update of a service is; one that has ended shows its outcome. None: there was none."""
    update = state.updates.get(service) or state.ended_updates.get(service)
    if update is None:
        return None
    left = [] if update.outcome else remaining(state, update, now)
    flying = [str(task.name) for task in left if under_way(task, update)]
    return {
        "outcome": update.outcome,
        "paused": update.paused,
        "back": update.back,
        "why": update.why,
        "moved": len(update.targets) - len(left),
        "of": len(update.targets),
        "moving": ", ".join(flying) or None,
        "revision": max((number for number in update.targets.values() if number), default=None),
        "given_up": sorted(map(str, update.given_up)),
        "who": update.who,
        "at": update.at,
    }


def revision_row(revision: Revision) -> dict[str, Any]:
    """Who pushed which revision when."""
    return {
        "service": revision.service,
        "revision": revision.number,
        "at": revision.at,
        "who": revision.who,
        "message": revision.message,
        "file": revision.file,
    }
