"""Conditions and rules that can never hold, found at push and not by waiting for ever. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from frameworks.coding.graph import Fault, Graph
from frameworks.coding.names import JobName, did_you_mean
from frameworks.coding.plans import MOVE_AFTER, JobPlan, TaskPlan
from frameworks.coding.rules import Rule
from offerer import Constraint


def why_impossible(job: JobPlan) -> tuple[str, str] | None:
    """The field for which the tasks of a job can never all have a place, and why, with the fix; None: they might."""
    if job.everywhere is not None:
        return _why_not_everywhere(job.everywhere)
    for plan in job.plans:
        if plan.tied_to is not None and plan.on_host_lost is not None:
            return "on_host_lost", f"it may run only on {plan.tied_to}, so it cannot move; write wait, or leave it out"
    why = _why_never(job)
    return ("constraints", why) if why else None


def _why_not_everywhere(plan: TaskPlan) -> tuple[str, str] | None:
    """What makes no sense for a job with one task on each host that fits."""
    for rule in plan.rules:
        if rule.job is None:
            return "constraints", f"'{rule}' would leave out hosts, and one_per_host none; take one of the two out"
    if plan.prefer or plan.pack:
        return "prefer" if plan.prefer else "place", "with one_per_host there is no choice of hosts; leave it out"
    if plan.on_host_lost not in (None, MOVE_AFTER):
        return "on_host_lost", "with one_per_host a task belongs to its host and cannot move; leave it out"
    why = _contradiction(plan.constraints)
    return ("constraints", why) if why else None


def _why_never(job: JobPlan) -> str | None:
    plans = list(job.plans)
    for constraints, rules in dict.fromkeys((plan.constraints, plan.rules) for plan in plans):
        why = _contradiction(constraints) or _clash(job.name, rules, len(plans))
        if why:
            return why
    for rule in dict.fromkeys(rule for plan in plans for rule in plan.rules if rule.most):
        bound = [_listed(rule.attribute, plan.constraints) for plan in plans if rule in plan.rules]
        places = {value for values in bound for value in values or ()}
        if None not in bound and len(places) * rule.most < len(bound):
            return (
                f"'{rule}' cannot hold for {len(bound)} tasks: they may use only {', '.join(sorted(places))}, "
                f"{rule.most} task{'' if rule.most == 1 else 's'} each; allow more, or ask for fewer tasks"
            )
    return None


def _listed(attribute: str, constraints: Sequence[Constraint]) -> list[str] | None:
    """The only values of an attribute that these conditions leave; None where there may be any number."""
    about = [each for each in constraints if each.attribute == attribute]
    named = [value for each in about if each.operator in ("==", "in") for value in each.values]
    if not named:
        return None
    return [value for value in dict.fromkeys(named) if all(each.matches(value, {attribute: value}) for each in about)]


def _contradiction(constraints: Sequence[Constraint]) -> str | None:
    """Why no host whatever can satisfy all of these, with the fix; None where one might."""
    for attribute in dict.fromkeys(each.attribute for each in constraints):
        if _listed(attribute, constraints) == []:
            both = " and ".join(f"'{each}'" for each in dict.fromkeys(constraints) if each.attribute == attribute)
            return f"{both} exclude every host; take one of them out"
    return None


def _clash(job: JobName, rules: Sequence[Rule], tasks: int) -> str | None:
    """A rule of one task that says nothing, or two that exclude each other."""
    for rule in rules:
        if rule.job == job:
            return f"'{rule}' names the job itself; write 'host unique' to keep its tasks apart, or 'same host'"
        for other in rules:
            parts = other.attribute == rule.attribute and (other.kind == "spread" or 0 < other.most < tasks)
            both = rule.kind == "with" and rule._replace(kind="apart") == other
            if both or parts and rule.kind == "same" and tasks > 1:
                return f"'{rule}' and '{other}' exclude each other; take one of them out"
    return None


# -- beside the tasks of other jobs ---------------------------------------------------------------------------


def check_company(pushed: Collection[str], jobs: Mapping[JobName, JobPlan]) -> tuple[list[Fault], list[str]]:
    """Faults and warnings about ``with`` and ``apart`` among all services as they would be after a push.

    `pushed` are the services being pushed: only where one of them is concerned can something be wrong.
    """
    faults: dict[Fault, None] = {}
    warnings: dict[str, None] = {}
    followed: dict[JobName, tuple[JobName, ...]] = {}
    for job, plan in jobs.items():
        rules = dict.fromkeys(rule for task in plan.plans for rule in task.rules if rule.job is not None)
        followed[job] = tuple(rule.job for rule in rules if rule.job is not None and rule.kind == "with")
        for rule in rules:
            assert rule.job is not None
            if not {job.service, rule.job.service} & set(pushed):
                continue
            other = jobs.get(rule.job)
            if other is not None:
                why = _never_with(plan, rule, other) if rule.kind == "with" else None
                if why:
                    faults[_fault(job, why)] = None
            elif rule.job.service in pushed and job.service in pushed:
                hint = did_you_mean(rule.job.job, [each.job for each in jobs if each.service == rule.job.service])
                faults[_fault(job, f"'{rule}': there is no job {rule.job}{hint}")] = None
            elif rule.kind == "with":
                warnings[f"{job} is to run with {rule.job}, which is not pushed; it waits until that runs"] = None
    cycle = Graph(followed).cycle()
    if cycle:
        first = next((job for job in cycle if job.service in pushed), cycle[0])
        chain = " → ".join(map(str, cycle))
        faults[_fault(first, f"these jobs are each to run with the next: {chain}; take one 'with' out")] = None
    return list(faults), list(warnings)


def _fault(job: JobName, message: str) -> Fault:
    return Fault(job, None, message, "constraints")


def _never_with(job: JobPlan, rule: Rule, other: JobPlan) -> str | None:
    """Why no host can have both a task of this job and one of the other that it is to be with."""
    why = ""
    for task in job.plans:
        if rule in task.rules:
            reasons = [_never_both(job.name, task, each) for each in other.plans]
            if reasons and all(reasons):
                why = reasons[0] or ""
    return f"'{rule}' can never hold: {why}" if why else None


def _never_both(job: JobName, plan: TaskPlan, other: TaskPlan) -> str | None:
    apart = next((rule for rule in other.rules if rule.kind == "apart" and rule.job == job), None)
    if apart is not None:
        return f"that job says '{apart}'; take one of the two out"
    return _contradiction([*plan.constraints, *other.constraints])
