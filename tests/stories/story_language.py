"""The language of the stories beside this file: what the `coding` framework does, told in virtual time.

A story is made of blocks with blank lines between them. A block has comments, commands, ``----`` and what happened::

    # A container that ends is started again.
    hosts a b
    push
      service: one
      jobs: {web: {image: web:1, replicas: 2}}
    up one
    ----
    launch one.web.1.r1-1 on a
    launch one.web.2.r1-1 on b

    wait 60s
    one/web/1 crashes
    ----
    +60s one.web.1.r1-1 FAILED: exit code 1
    +60s launch one.web.1.r1-2 on a

Nothing happens between the commands of a block but where one says `wait`; at its end all that is due now does. A line
of output that came later than the block began says by how much. `SimCluster` fails a story by itself where a task has
more containers than it may, or an update stops one that `min_healthy` keeps.

Commands (`[…]` may be left out, TARGET is SERVICE[/JOB[/TASK]])::

    hosts H … [RESOURCES] [k=v …]        these join; those there already have these resources and attributes from now on
    H is lost | is back | is removed     does not answer; answers again; is given up by an operator
    H is draining | is cordoned | is active
    push                                 the file in the lines below, indented
    push OLD => NEW                      the last file with this text in place of that, everywhere
    push to ENVIRONMENT                  the last file, the lines below it over it
    secret NAME [VALUE]                  is set; without a value, is removed
    up | update | restart | down TARGET …
    plan [up | update] TARGET …          what that would do; `do plan` then does it, as it was shown
    scale SERVICE/JOB N
    run TARGET [COMMAND …]
    rebalance                            its moves, and what comes of them
    rollback TARGET [to N]
    pause | resume | promote | abort SERVICE
    wait TIME
    TASK crashes | finishes              its newest container ends by itself
    TASK passes | fails                  its newest container's probe changes its mind
    probes of TEXT pass | fail | wait    from now on, those of new containers with this text in their spec; * for all
    starts of JOB crash | work           from now on, what becomes of new containers of this job
    framework restarts | reconnects
    store breaks | works                 nothing is written meanwhile
    offers time out
    double JOB                           a task of it may have two containers at once (start-first, moves)
    ps [TARGET] | why TASK | progress SERVICE | demand | hosts?
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from frameworks.coding.explain import why
from frameworks.coding.names import parse_task_name
from frameworks.coding.reviews import Plan
from offerer import SECOND, OffererError, Resources, TaskInfo, TaskState
from offerer.types import Availability
from tests.coding_cluster import SimCluster, SimHost

_SEPARATOR = "----"
_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_HOST = "cpus=4;memory=8GiB;ports=3306,31000-32000"


def run_story(path: Path) -> tuple[str, str]:
    """The story as it is, and as it would be with what really happened."""
    text = path.read_text()
    story = Story()
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split(f"\n{_SEPARATOR}")[0].split("\n")
        commands = [line for line in lines if not line.startswith("#")]
        if commands:
            lines += [_SEPARATOR, *(story.run(commands) or ["none"])]
        blocks.append("\n".join(lines))
    return text, "\n\n".join(blocks) + "\n"


class Story:
    """One cluster, and the last file pushed."""

    def __init__(self) -> None:
        self.cluster = SimCluster([])
        self.cluster.probe_says = self._probe_says
        self.cluster.crashes_on_start = lambda name: str(name.of_job) in self._crashing
        self._file = ""
        self._plan: Plan | None = None
        self._probes: dict[str, bool | None] = {}
        self._crashing: set[str] = set()
        self._lines: list[str] = []
        self._began = self.cluster.now

    def run(self, commands: Sequence[str]) -> list[str]:
        """What comes of a batch of commands."""
        self._lines, self._began = [], self.cluster.now
        self.cluster.events.clear()
        i = 0
        while i < len(commands):
            words = commands[i].split()
            i += 1
            below = []
            while i < len(commands) and commands[i].startswith("  "):
                below.append(commands[i][2:])
                i += 1
            try:
                self._command(words, commands[i - 1 - len(below)], below)
            except OffererError as error:
                self.say(*f"{type(error).__name__}: {error}".split("\n"))
        self._happen()
        return self._lines

    def say(self, *lines: str) -> None:
        """Output, after what has happened until now."""
        self._lines += [self._since(at) + text for at, text in self.cluster.events]
        self.cluster.events.clear()
        self._lines += lines

    def _happen(self) -> None:
        self.cluster.settle()
        self.say()

    def _since(self, at: int) -> str:
        later = at - self._began
        return f"+{later / SECOND:g}s " if later else ""

    def _command(self, words: list[str], line: str, below: list[str]) -> None:
        if words[0] == "push":
            return self.on_push(line.removeprefix("push").strip(), below)
        assert not below, f"{line!r} takes no lines of its own"
        command = getattr(self, f"on_{words[0].removesuffix('?')}", None)
        if command is not None:
            return command(words[1:]) if not words[0].endswith("?") else self.show_hosts()
        verb = getattr(self, f"then_{words[1]}", None)
        assert verb is not None, f"no such command: {line!r}"
        verb(words[0], words[2:])

    # -- hosts -------------------------------------------------------------------------------------------------

    def on_hosts(self, words: list[str]) -> None:
        names = [word for word in words if "=" not in word]
        amounts = next((word for word in words if word.startswith(("cpus=", "memory="))), None)
        attributes = dict(word.split("=") for word in words if "=" in word and word != amounts)
        for name in names:
            known = self.cluster.hosts.get(name)  # type: ignore[call-overload]
            if known is None:
                self.cluster.join(SimHost(name, Resources.parse(amounts or _HOST), attributes))
            else:
                known.total = Resources.parse(amounts) if amounts else known.total
                self.cluster.change_attributes(name, attributes)

    def then_is(self, host: str, words: list[str]) -> None:
        if words[0] in {each.value for each in Availability}:
            return self.cluster.set_availability(host, Availability(words[0]))
        what = {"lost": self.cluster.lose, "back": self.cluster.find_again, "removed": self.cluster.remove}
        what[words[0]](host)

    def show_hosts(self) -> None:
        self._happen()
        for host in self.cluster.hosts.values():
            away = "" if host.reachable else " (lost)"
            self.say(f"{host.name}{away}: {', '.join(sorted(host.tasks)) or 'nothing'}")

    # -- an operator -------------------------------------------------------------------------------------------

    def on_push(self, change: str, below: list[str]) -> None:
        environment = change.removeprefix("to ") if change.startswith("to ") else ""
        if environment:
            push = self.cluster.push_to(environment, self._file, "\n".join(below) + "\n")
            self.say(*(f"note: {each}" for each in push.warnings))
            return
        if change:
            old, arrow, new = change.partition(" => ")
            assert arrow and old in self._file, f"the last file has no {old!r}"
            self._file = self._file.replace(old, new)
        else:
            self._file = "\n".join(below) + "\n"
        push = self.cluster.push(self._file)
        self.say(*(f"note: {each}" for each in push.warnings))

    def on_secret(self, words: list[str]) -> None:
        self.cluster.set_secret(words[0], words[1] if words[1:] else "")

    def _ordered(self, words: list[str], order: str) -> None:
        answer = getattr(self.cluster, order)(*words)
        self.say(*(f"note: {each}" for each in answer.notes))

    def on_up(self, words: list[str]) -> None:
        self._ordered(words, "up")

    def on_update(self, words: list[str]) -> None:
        self._ordered(words, "update")

    def on_restart(self, words: list[str]) -> None:
        self._ordered(words, "restart")

    def on_run(self, words: list[str]) -> None:
        self.say(f"{self.cluster.run(*words)} is to run")

    def on_rebalance(self, _: list[str]) -> None:
        self.say(*(f"{each.task}: {each.from_host} to {each.to_host}: {each.why}" for each in self.cluster.rebalance()))

    def on_scale(self, words: list[str]) -> None:
        answer = self.cluster.scale(words[0], int(words[1]))
        self.say(*(f"note: {each}" for each in answer.notes))

    def on_down(self, words: list[str]) -> None:
        self._ordered(words, "down")

    def on_plan(self, words: list[str]) -> None:
        do = words.pop(0) if words[0] in ("up", "update") else ""
        self._plan, rehearsal = self.cluster.plan(*words, do=do)
        for step in rehearsal.steps:
            where = f"{step.from_host} → {step.host}" if step.action == "move" else f"on {step.host}"
            place = f" {where}" if step.host else ""
            numbers = [f"r{number}" for number in (step.from_revision, step.revision) if number]
            why_ = f": {step.reason}" if step.reason else ""
            self.say(f"would {step.action} {step.task}{place} {' → '.join(numbers)}{why_}")
        self.say(*(f"note: {each}" for each in rehearsal.notes))
        self.say(f"{rehearsal.unchanged} unchanged")

    def on_do(self, _: list[str]) -> None:
        assert self._plan is not None, "there is no plan yet"
        self.cluster.do(self._plan)

    def on_rollback(self, words: list[str]) -> None:
        answer = self.cluster.rollback(words[0], int(words[2]) if words[1:] else None)
        self.say(*(f"note: {each}" for each in answer.notes))

    def on_pause(self, words: list[str]) -> None:
        self.cluster.pause(words[0])

    def on_resume(self, words: list[str]) -> None:
        self.cluster.resume(words[0])

    def on_promote(self, words: list[str]) -> None:
        self.cluster.promote(words[0])

    def on_abort(self, words: list[str]) -> None:
        self.cluster.abort(words[0])

    def on_double(self, words: list[str]) -> None:
        self.cluster.may_double.add(words[0])

    # -- time and mishaps --------------------------------------------------------------------------------------

    def on_wait(self, words: list[str]) -> None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", words[0])
        assert match, f"{words[0]!r} is not a time"
        self.cluster.advance(float(match[1]) * _UNITS[match[2]] / SECOND)

    def then_crashes(self, task: str, _: list[str]) -> None:
        self.cluster.end(task, TaskState.FAILED, 1)

    def then_finishes(self, task: str, _: list[str]) -> None:
        self.cluster.end(task, TaskState.FINISHED, 0)

    def then_passes(self, task: str, _: list[str]) -> None:
        self.cluster.probe(task, True)

    def then_fails(self, task: str, _: list[str]) -> None:
        self.cluster.probe(task, False)

    def on_probes(self, words: list[str]) -> None:
        self._probes[words[1].removeprefix("*")] = {"pass": True, "fail": False, "wait": None}[words[2]]

    def _probe_says(self, task: TaskInfo) -> bool | None:
        return next((says for text, says in reversed(self._probes.items()) if text.encode() in task.spec), True)

    def on_starts(self, words: list[str]) -> None:
        (self._crashing.add if words[2] == "crash" else self._crashing.discard)(words[1])

    def on_framework(self, words: list[str]) -> None:
        (self.cluster.restart_framework if words[0] == "restarts" else self.cluster.reconnect)()

    def on_store(self, words: list[str]) -> None:
        self.cluster.store_works = words[0] == "works"

    def on_offers(self, _: list[str]) -> None:
        self.cluster.rescind()

    # -- questions ---------------------------------------------------------------------------------------------

    def on_ps(self, words: list[str]) -> None:
        self._happen()
        for name, row in self.cluster.rows(*words).items():
            where = f" r{row['revision']} on {row['host']}" if row["task_id"] else ""
            unready = "" if row["ready"] or row["state"] != "RUNNING" else " unready"
            self.say(f"{name} {row['state']}{unready}{where}" + (f": {row['reason']}" if row["reason"] else ""))

    def on_why(self, words: list[str]) -> None:
        self._happen()
        name = parse_task_name(words[0])
        assert name is not None, f"{words[0]} is no task"
        answer = why(self.cluster.state, self.cluster.planner.hosts, self.cluster.state.tasks[name], self.cluster.now)
        for key, value in answer.items():
            if key == "nearest":
                self.say(*(f"  nearest {each['host']}: {each['lacks']}" for each in value))
            elif isinstance(value, dict):
                self.say(*(f"  {count} {what}" for what, count in value.items()))
            else:
                self.say(f"  {key}: {', '.join(value) or 'none' if isinstance(value, list) else value}")

    def on_progress(self, words: list[str]) -> None:
        self._happen()
        row = self.cluster.rollout(words[0])
        end = row["outcome"] or (f"paused: {row['paused']}" if row["paused"] else "under way")
        why_ = f" ({row['why']})" if row["why"] else ""
        back = ", going back" if row["back"] and not row["outcome"] else ""
        self.say(f"{words[0]}: {row['moved']} of {row['of']} at r{row['revision']}{back}, {end}{why_}")

    def on_demand(self, _: list[str]) -> None:
        self._happen()
        wants = self.cluster.demand.wants
        if not wants:
            self.say("wants everything" if wants is None else "wants nothing")
        for want in wants or ():
            where = " and ".join(map(str, want.constraints))
            per_host = f", {want.per_host} per host" if want.per_host else ""
            self.say(f"wants {want.count} of {want.resources}{per_host}" + (f" where {where}" if where else ""))
