"""What `status`, `ps` and `inspect` answer: the state as plain data, each reason from the code that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from frameworks.coding.names import Target
from frameworks.coding.obstacles import may_stop, obstacle
from frameworks.coding.revisions import Revision
from frameworks.coding.rollout import moving, remaining
from frameworks.coding.state import State, Task
from offerer import PortMapping, TaskState, Time


def task_rows(state: State, targets: Sequence[Target], now: Time) -> list[dict[str, Any]]:
    """One row per task that is up or still stopping, in order."""
    return [
        task_row(state, task, now)
        for task in state.covered(targets)
        if task.wanted is not None or task.run is not None or task.strays
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
        "failures": task.failures,
        "reason": reason(state, task, now),
        "last": asdict(task.last) if task.last else None,
    }


def state_text(task: Task) -> str:
    """The name of the state its container is in; without one, WAITING or DOWN."""
    if task.run is None:
        return "DOWN" if task.wanted is None else "WAITING"
    if not task.run.launched:
        return "WAITING"
    return (task.run.state or TaskState.STAGING).name


def reason(state: State, task: Task, now: Time) -> str:
    """Why it is not as wanted, in words; empty where it is."""
    if task.settled:
        return ""
    run = task.run
    if run is None:
        why = obstacle(state, task, now) or task.shortage or "waits for an offer"
        ended = task.last is not None and task.failures
        return f"{ended_text(task)}; {why}" if ended else why
    if not run.launched:
        return f"is being placed on {run.host}"
    if task.wanted != run.revision:
        what = "stops" if task.wanted is None else f"makes way for r{task.wanted}"
        return what if run.kill_sent or may_stop(state, task) else f"{what} after what depends on it"
    if run.state is TaskState.UNREACHABLE:
        return run.message or f"host {run.host} does not answer"
    return run.message


def ended_text(task: Task) -> str:
    """How its last container ended."""
    last = task.last
    return f"{last.state}: {last.message}" if last and last.message else last.state if last else ""


def address_text(address: str, ports: Sequence[PortMapping]) -> str:
    """``10.0.0.7:31987``; several ports ``10.0.0.7:80,443``; none ``-``."""
    return f"{address}:{','.join(str(port.host) for port in ports)}" if ports else ""


def service_rows(state: State, targets: Sequence[Target], now: Time) -> list[dict[str, Any]]:
    """One row per service: newest revision, the revisions that run, how many tasks are as wanted."""
    return [service_row(state, target, now) for target in targets]


def service_row(state: State, target: Target, now: Time) -> dict[str, Any]:
    """One service, or the part of it that the target means."""
    tasks = state.covered([target])
    up = [task for task in tasks if task.wanted is not None]
    newest = state.newest(target.service)
    unsettled = [task for task in tasks if not task.settled]
    reasons = Counter(reason(state, task, now) for task in unsettled)
    return {
        "service": str(target),
        "newest_revision": newest.number if newest else None,
        "pushed_at": newest.at if newest else None,
        "revisions": sorted({task.run.revision for task in tasks if task.run}),
        "tasks": len(list(state.newest_tasks(target))),
        "up": len(up),
        "running": sum(task.running for task in up),
        "stopping": sum(task.wanted is None for task in unsettled),
        "settled": not unsettled and target.service not in state.updates,
        "update": _update_row(state, target.service),
        "reasons": [f"{why} (×{n})" if n > 1 else why for why, n in reasons.most_common() if why],
    }


def _update_row(state: State, service: str) -> dict[str, Any] | None:
    update = state.updates.get(service)
    if update is None:
        return None
    left, now_moving = remaining(state, update), moving(state, update)
    return {
        "moved": len(update.targets) - len(left),
        "of": len(update.targets),
        "moving": str(now_moving.name) if now_moving else None,
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
