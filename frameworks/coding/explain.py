"""Why a task has no place: how many hosts each condition excludes, which is nearest to fitting, what would free it.

Pure, and from the code that decides: `placement.refusals` is what placing asks too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from frameworks.coding.company import Company
from frameworks.coding.moves import elsewhere, is_to_go
from frameworks.coding.obstacles import obstacle, reason
from frameworks.coding.placement import Host, Limit, Refusal, refusals
from frameworks.coding.plans import TaskPlan
from frameworks.coding.records import Run, Task
from frameworks.coding.state import State
from offerer import Resources, Time

_Seen = tuple[Host, tuple[Refusal, ...]]


def shortage(plan: TaskPlan, hosts: Iterable[Host], limits: Sequence[Limit] = ()) -> str:
    """Why none of these hosts takes a task of this plan, for whoever waits for it."""
    found = [(host, tuple(refusals(plan, host, limits))) for host in hosts]
    if plan.tied_to is not None:
        why = next((why for host, why in found if host.name == plan.tied_to), ())
        lacks = _of_one(why).replace("excluded by", "is excluded by")
        return f"waits for host {plan.tied_to}" + (f": it {lacks}" if why else "")
    if not found or not all(why for _, why in found):
        return f"waits for an offer of {plan.resources}"
    counts = Counter(why[0].text for _, why in found)
    listed = [f"{n} {_of_a_host(text) if n == 1 else text}" for text, n in counts.most_common()]
    host, why = min(found, key=lambda each: _distance(plan, each))
    nearest = "" if why[0].kind in ("excluded", "absent") else f"; nearest: {host.name} {_of_one(why)}"
    return "no host fits: " + ", ".join(listed) + nearest


def why(state: State, hosts: Collection[Host], task: Task, now: Time) -> dict[str, Any]:
    """All that is known of why a task is not as wanted."""
    answer: dict[str, Any] = {"task": str(task.name), "reason": reason(state, task, now)}
    plan = state.plan_to_place(task)
    if plan is None or not waits_for_place(state, task, now):
        return answer
    limits = Company(state, hosts).limits(task, plan)
    found = [(host, tuple(refusals(plan, host, limits))) for host in elsewhere(state, hosts, task)]
    counts = Counter(each.text for _, all_ in found for each in all_)
    fitting = [host.name for host, all_ in found if not all_]
    answer |= {
        "needs": str(plan.resources),
        "hosts_seen": len(found),
        "excluded": {_of_a_host(text) if n == 1 else text: n for text, n in counts.most_common()},
        "fitting": fitting,
        "nearest": [_near(state, plan, host, all_) for host, all_ in _nearest(plan, found)],
    }
    return answer


def waits_for_place(state: State, task: Task, now: Time) -> bool:
    """Whether a place is all that is missing."""
    if task.run is not None:
        return is_to_go(state, task)
    return task.wanted not in (None, task.finished) and obstacle(state, task, now) is None


def _nearest(plan: TaskPlan, found: Sequence[_Seen]) -> list[_Seen]:
    """The three hosts that lack least, of those that no condition excludes."""
    allowed = [each for each in found if each[1] and each[1][0].kind != "excluded"]
    return sorted(allowed, key=lambda each: _distance(plan, each))[:3]


def _near(state: State, plan: TaskPlan, host: Host, all_: tuple[Refusal, ...]) -> dict[str, Any]:
    return {"host": host.name, "lacks": _of_one(all_), "would_free": would_free(state, plan, host, all_)}


def would_free(state: State, plan: TaskPlan, host: Host, all_: Sequence[Refusal]) -> list[str]:
    """The tasks of ours on this host of which any one would leave enough behind, were it stopped."""
    found = []
    for task in state.tasks.values():
        for run in task.containers:
            if run.host_id == host.id and all(_gives(state, task, run, each) for each in all_):
                found.append(str(task.name))
    return sorted(found)


def _gives(state: State, task: Task, run: Run, lacking: Refusal) -> bool:
    plan = state.plan(task, run.revision)
    held = plan.resources if plan else Resources()
    if lacking.kind == "lack":
        return dict(held.scalars()).get(lacking.what, 0) >= lacking.short
    if lacking.kind == "port":
        return any(port.host == int(lacking.what) for port in run.ports)
    return lacking.kind == "ports" and bool(run.ports)


def _distance(plan: TaskPlan, entry: _Seen) -> tuple[bool, int, float, str]:
    """How far a host is from fitting: excluded by conditions last, then by how many things and how much it lacks."""
    host, all_ = entry
    need = dict(plan.resources.scalars())
    share = sum(each.short / need[each.what] for each in all_ if each.kind == "lack")
    return (any(each.kind == "excluded" for each in all_), len(all_), share, host.name)


def _of_one(all_: Sequence[Refusal]) -> str:
    """``lacks 512MiB memory and has port 80 taken``."""
    return " and ".join(_amount(each) if each.kind == "lack" else _of_a_host(each.text) for each in all_)


def _amount(lacking: Refusal) -> str:
    short = {name: lacking.short if name == lacking.what else 0 for name in ("cpus", "memory", "disk")}
    amount = str(Resources(short["cpus"], short["memory"], short["disk"])).partition("=")[2]
    return f"lacks {amount or lacking.short} {lacking.what}"


def _of_a_host(text: str) -> str:
    """The same as it is said of one host."""
    for several, one in (("lack ", "lacks "), ("have ", "has "), ("are ", "is ")):
        if text.startswith(several):
            return one + text.removeprefix(several)
    return text
