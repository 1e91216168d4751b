"""From files to new revisions: all of them are right and go together, or none is stored. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from frameworks.coding.check import CheckedFile, check_pushed
from frameworks.coding.containers import Surroundings
from frameworks.coding.files import PushedFile
from frameworks.coding.graph import Fault, check_dependencies
from frameworks.coding.possible import check_company
from frameworks.coding.revisions import Revision
from frameworks.coding.secrets import missing
from frameworks.coding.source import Problem
from frameworks.coding.state import State
from offerer import Delete, InvalidInput, Put, Time


class Push(NamedTuple):
    """What a push comes to."""

    revisions: list[Revision]
    """The new ones, to be stored."""
    unchanged: list[Revision]
    """The newest of those services whose file says nothing new."""
    warnings: list[str]
    secrets: list[Put | Delete]
    """The values of those that are in files, where they are new; to be stored too."""


def prepare_push(state: State, files: Sequence[PushedFile], who: str, message: str, now: Time) -> Push:
    """Check files and number their revisions. Raises `InvalidInput` with every problem of every file."""
    checked: dict[str, CheckedFile] = {}
    problems: list[str] = []
    for pushed in files:
        try:
            file = check_pushed(pushed)
        except InvalidInput as error:
            problems.append(str(error))
            continue
        other = checked.get(file.name)
        if other:
            what = f"{file.service.service!r} is in {other.pushed.name} too; push one of them"
            problems.append(file.source.problem(("service",), what).text(pushed.name))
        checked[file.name] = file
    push, lacking = _number(state, checked, who, message, now)
    problems += lacking
    warnings: list[str] = []
    if not problems:
        depends_on = state.dependencies()
        for service in checked:
            depends_on = {job: wanted for job, wanted in depends_on.items() if job.service != service}
        for revision in [*push.revisions, *push.unchanged]:
            depends_on.update(revision.depends_on)
        faults, warnings = check_dependencies(checked, depends_on)
        jobs = {job.name: job for revision in _after(state, push) for job in revision.jobs.values()}
        beside, more = check_company(checked, jobs)
        faults, warnings = [*faults, *beside], [*warnings, *more, *_unscaled(state, push.revisions)]
        faults += _never_finished(state, [*push.revisions, *push.unchanged])
        problems = [_fault_text(fault, checked) for fault in faults]
    if problems:
        raise InvalidInput("\n".join(problems))
    return push._replace(warnings=warnings)


def _unscaled(state: State, pushed: Sequence[Revision]) -> list[str]:
    """The jobs whose number of tasks was set by command, which a push with another number in the file overrules."""
    return [
        f"{job} will no longer be scaled to {state.scales[job].replicas}: what its file says has changed"
        for revision in pushed
        for job in state.overruled(revision)
    ]


def _never_finished(state: State, pushed: Sequence[Revision]) -> list[Fault]:
    """The dependencies on the end of a job that is started again whenever it ends."""
    newest = {service: state.newest(service) for service in state.revisions}
    newest.update({revision.service: revision for revision in pushed})
    faults = []
    for revision in pushed:
        for job in revision.jobs.values():
            for i, (other, condition) in enumerate(job.conditions.items()):
                of = newest.get(other.service)
                found = of.jobs.get(other.job) if of else None
                if condition == "finished" and found is not None and found.restart.always:
                    fix = f"write healthy, or give {other} restart: {{on: failure}}"
                    faults.append(Fault(job.name, i, f"{other} never finishes, it is always started again; {fix}"))
    return faults


def _number(
    state: State, checked: dict[str, CheckedFile], who: str, message: str, now: Time
) -> tuple[Push, list[str]]:
    push, problems = Push([], [], [], []), []
    for service, file in checked.items():
        versions, puts, lacking = _bind(state, file, who, now)
        problems += [problem.text(file.pushed.name) for problem in lacking]
        push.secrets.extend(puts)
        revision = Revision(
            state.next_number(service), file.service, file.pushed.title, file.text, who, message, now,
            file.pushed.environment, versions,
        )  # fmt: skip
        newest = state.newest(service)
        if newest is not None and newest.says_the_same(revision):
            push.unchanged.append(newest)
        else:
            push.revisions.append(revision)
    return push, problems


def _bind(
    state: State, file: CheckedFile, who: str, now: Time
) -> tuple[dict[str, int], list[Put | Delete], list[Problem]]:
    """The versions of the secrets of a file, what is to be stored of them, and those that are not there."""
    around = Surroundings(file.name)
    versions: dict[str, int] = {}
    puts: list[Put | Delete] = []
    lacking: list[Problem] = []
    for path, secret in file.service.secrets:
        name = around.stored_as(path[-1], secret)
        if name in versions:
            continue
        if secret.file is not None:
            versions[name], changes = state.secrets.set(name, file.pushed.files[secret.file], who, now)
            puts += changes
        elif state.secrets.has(name):
            versions[name] = state.secrets.newest(name)
        else:
            lacking.append(file.source.problem(path, missing(name)))
    return versions, puts, lacking


def _after(state: State, push: Push) -> list[Revision]:
    """The newest revision of every service as they would be after the push."""
    newest = {service: max(revisions.items())[1] for service, revisions in state.revisions.items() if revisions}
    return list({**newest, **{each.service: each for each in [*push.revisions, *push.unchanged]}}.values())


def _fault_text(fault: Fault, checked: dict[str, CheckedFile]) -> str:
    path: tuple[Any, ...] = ("jobs", fault.job.job, fault.field, *(() if fault.i is None else (fault.i,)))
    file = checked.get(fault.job.service)
    if file is None:
        return f"{fault.job}: {fault.field}: {fault.message}"
    return file.source.problem(path, fault.message).text(file.pushed.name)
