"""The language of the scenario scripts beside this file: a line is an event, a block of lines is a batch.

A script is made of blocks with blank lines between them. A block has comments, commands, ``----`` and what came out::

    # A host joins, its framework takes half of it.
    host a1 cpus=2;memory=1GiB zone=a
    framework f1 role1
    ----
    a1: registered
    f1: offer 1 of a1 under role1: cpus=2;memory=1GiB

After the last command of a block, time passes for the core, so that what became free is shared out. ``clock +5s``
moves the time on, stopping at every deadline of the core. The books are checked after every event.

Commands (`[…]` may be left out)::

    show offers|everything               what the output below shows; everything unless said
    start TERM [HOST[=AVAILABILITY] …]   a new master with this term that knows these hosts of old
    host H RESOURCES [k=v …] [holds F/T STATE UUID RESOURCES, …]        registers
    host H disconnects | is removed | is active|cordoned|draining
    operator kills F/T
    framework F ROLE[,ROLE] [away TIME] [believes T@H …]                registers
    framework F disconnects
    H reports F/T STATE UUID [, …]
    F accepts H|#N|nothing … [refusing TIME]: [T RESOURCES, …]          all its offers of that host, or the ones named
    F declines H|#N|all … [for TIME]
    F acknowledges UUID …
    F kills T [grace TIME]
    F suppresses|revives [ROLE]
    F wants N of RESOURCES [per host N] [where ATTRIBUTE OP VALUE[,VALUE] …] [, …] [choice N] [under ROLE]
    F wants everything|nothing [under ROLE]
    everyone declines                    all offers, without refusing
    role R [weight W] [guarantee RESOURCES] [limit RESOURCES]
    clock +TIME
    shares | holders | counts            dominant shares of roles; hosts offered per framework; records the core has
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from offerer import FOREVER, SECOND, Constraint, Demand, Reason, Resources, TaskInfo, TaskState, TaskStatus, Want
from offerer.core import Cluster
from offerer.core import events as e
from offerer.core import outputs as o
from offerer.errors import OffererError
from offerer.ids import FrameworkId, HostId, OfferId, Role, TaskId
from offerer.types import Availability

_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 24 * 3600 * SECOND}
_SEPARATOR = "----"
_MADE_HERE = b"offerer:"


def run_script(path: Path) -> tuple[str, str]:
    """The script as it is, and as it would be with what really came out."""
    text = path.read_text()
    scenario = Scenario()
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split(_SEPARATOR)[0].rstrip("\n").split("\n")
        commands = [line for line in lines if not line.startswith("#")]
        if commands:
            lines += [_SEPARATOR, *(scenario.run(commands) or ["none"])]
        blocks.append("\n".join(lines))
    return text, "\n\n".join(blocks) + "\n"


def read_time(text: str) -> int:
    """Microseconds of ``5s``, ``100ms``, ``2m``."""
    if text == "forever":
        return FOREVER
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    assert match, f"{text!r} is not a time"
    return round(float(match[1]) * _UNITS[match[2]])


class Scenario:
    """One cluster, and what its peers were told last."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.now = 0
        self.lines: list[str] = []
        self.everything = True
        self._handle(e.ClusterStarted(1))

    def run(self, commands: Iterable[str]) -> list[str]:
        """What comes out of a batch of commands."""
        self.lines = []
        for command in commands:
            self._run(command)
        self._until(self.now)
        return self.lines

    def _run(self, command: str) -> None:
        words = command.split()
        known = _COMMANDS.get(words[0])
        if known is not None:
            known(self, words[1:])
        else:
            _VERBS[words[1]](self, words[0], words[2:])

    def _handle(self, event: e.Event) -> None:
        try:
            outputs = self.cluster.handle(self.now, event)
        except OffererError as error:
            self.lines.append(f"{type(error).__name__}: {error}")
            outputs = []
        self.cluster.check_invariants()
        for output in outputs:
            if self.everything or isinstance(output, o.SendOffers):
                self.lines.extend(self._show(output))

    def _until(self, target: int) -> None:
        for _ in range(10_000):
            deadline = self.cluster.next_deadline()
            if deadline is None or deadline > target:
                self.now = target
                return
            self.now = max(self.now, deadline)
            self._handle(e.TimePassed())
        raise AssertionError("the core wants to be called for ever")

    # -- what comes out ----------------------------------------------------------------------------------------

    def _show(self, output: o.Output) -> list[str]:
        match output:
            case o.ConfirmHost(host_id):
                return [f"{host_id}: registered"]
            case o.LaunchTasks(host_id, framework_id, tasks):
                return [f"{host_id}: launch {framework_id}/{task.task_id} {task.resources}" for task in tasks]
            case o.KillTask(host_id, framework_id, task_id, grace):
                within = "" if grace is None else f" within {grace / SECOND:g}s"
                return [f"{host_id}: kill {framework_id}/{task_id}{within}"]
            case o.AcknowledgeStatuses(host_id, uuids):
                return [f"{host_id}: acknowledged {' '.join(map(show_uuid, uuids))}"]
            case o.ConfirmFramework(framework_id, statuses):
                return [f"{framework_id}: registered", *(f"{framework_id}: has {_status(each)}" for each in statuses)]
            case o.ForwardStatuses(framework_id, statuses):
                return [f"{framework_id}: {_status(each)}" for each in statuses]
            case o.SendOffers(framework_id, offers):
                return [self._offer(framework_id, offer) for offer in offers]
            case o.RescindOffers(framework_id, offer_ids):
                return [f"{framework_id}: offers {' '.join(_number(each) for each in offer_ids)} rescinded"]
            case o.PersistHost(host_id, name, availability):
                unusual = "" if availability is Availability.ACTIVE else f" {availability.value}"
                return [f"store: host {host_id} named {name}{unusual}"]
            case o.ForgetHost(host_id):
                return [f"store: no host {host_id}"]
            case o.PersistRole(role, weight, guarantee, limit):
                return [f"store: role {role} weight {weight / 1000:g}{_quota(guarantee, limit)}"]
            case o.Announce(kind, fields):
                return [" ".join([f"announce: {kind}", *(f"{key}={value}" for key, value in fields.items())])]
        raise AssertionError(output)

    def _offer(self, framework_id: FrameworkId, offer) -> str:
        if not self.everything:
            return f"{framework_id}[{offer.role}] <- {offer.host} {offer.resources}"
        return f"{framework_id}: offer {_number(offer.id)} of {offer.host} under {offer.role}: {offer.resources}"

    # -- hosts -------------------------------------------------------------------------------------------------

    def on_show(self, words: list[str]) -> None:
        self.everything = words == ["everything"]

    def on_start(self, words: list[str]) -> None:
        self.cluster = Cluster()
        hosts = [f"{word}=active".split("=")[:2] for word in words[1:]]
        known = [e.KnownHost(HostId(name), name, Availability(availability)) for name, availability in hosts]
        self._handle(e.ClusterStarted(int(words[0]), known))

    def on_host(self, words: list[str]) -> None:
        host_id = HostId(words[0])
        if words[1:] == ["disconnects"]:
            return self._handle(e.HostDisconnected(host_id))
        if words[1:] == ["is", "removed"]:
            return self._handle(e.HostRemoved(host_id))
        if words[1] == "is":
            return self._handle(e.HostAvailabilitySet(host_id, Availability(words[2])))
        plain, held = _split(words[1:], "holds")
        attributes = dict(word.split("=", 1) for word in plain[1:])
        total = Resources.parse(plain[0])
        tasks = []
        for key, state, uuid, resources in _items(held):
            framework_id, status = self._status(host_id, [key, state, uuid])
            tasks.append(e.HeldTask(framework_id, Resources.parse(resources), status))
        self._handle(e.HostRegistered(host_id, words[0], f"{words[0]}.test", attributes, total, tasks))

    def on_reports(self, host: str, words: list[str]) -> None:
        statuses = [self._status(HostId(host), item) for item in _items(words)]
        self._handle(e.TaskStatusesReported(HostId(host), statuses))

    def _status(self, host_id: HostId, words: Sequence[str]) -> tuple[FrameworkId, TaskStatus]:
        framework_id, task_id = words[0].split("/")
        uuid = b"" if words[2] == "-" else words[2].encode()
        status = TaskStatus(TaskId(task_id), TaskState[words[1]], host_id, at=self.now, uuid=uuid)
        return FrameworkId(framework_id), status

    # -- frameworks --------------------------------------------------------------------------------------------

    def on_framework(self, words: list[str]) -> None:
        framework_id = FrameworkId(words[0])
        if words[1:] == ["disconnects"]:
            return self._handle(e.FrameworkDisconnected(framework_id))
        plain, believed = _split(words[1:], "believes")
        plain, away = _split(plain, "away")
        roles = tuple(Role(role) for role in plain[0].split(",")) if plain else ()
        beliefs = {TaskId(task): HostId(host) for task, host in (each.split("@") for each in believed)}
        timeout = read_time(away[0]) if away else 3600 * SECOND
        self._handle(e.FrameworkRegistered(framework_id, roles, timeout, beliefs))

    def on_accepts(self, name: str, words: list[str]) -> None:
        before, _, after = " ".join(words).partition(":")
        which, refusing = _split(before.split(), "refusing")
        tasks = [
            TaskInfo(TaskId(task_id), Resources.parse(resources), b"") for task_id, resources in _items(after.split())
        ]
        refuse_for = read_time(refusing[0]) if refusing else 0
        self._handle(e.OffersAccepted(FrameworkId(name), self._offer_ids(name, which), tasks, refuse_for))

    def on_declines(self, name: str, words: list[str]) -> None:
        which, duration = _split(words, "for")
        refuse_for = read_time(duration[0]) if duration else 0
        self._handle(e.OffersDeclined(FrameworkId(name), self._offer_ids(name, which), refuse_for))

    def on_everyone(self, words: list[str]) -> None:
        assert words == ["declines"]
        for name in list(self.cluster.state.frameworks):
            self.on_declines(name, ["all"])

    def _offer_ids(self, name: str, words: Iterable[str]) -> list[OfferId]:
        framework = self.cluster.state.frameworks.get(FrameworkId(name))
        out = list(framework.offers.values()) if framework else []
        chosen: list[OfferId] = []
        for word in words:
            if word.startswith("#"):
                chosen.append(OfferId(self.cluster.state.term << 32 | int(word[1:])))
            else:
                chosen.extend(offer.id for offer in out if word in ("all", offer.host.name))
        return chosen

    def on_acknowledges(self, name: str, words: list[str]) -> None:
        self._handle(e.StatusesAcknowledged(FrameworkId(name), [self._read_uuid(word) for word in words]))

    def _read_uuid(self, word: str) -> bytes:
        if word.startswith("made"):
            return _MADE_HERE + (self.cluster.state.term << 32 | int(word[4:])).to_bytes(8, "big")
        return word.encode()

    def on_kills(self, name: str, words: list[str]) -> None:
        task, grace = _split(words, "grace")
        self._handle(e.KillRequested(FrameworkId(name), TaskId(task[0]), read_time(grace[0]) if grace else None))

    def on_suppresses(self, name: str, words: list[str]) -> None:
        self._handle(e.OffersSuppressed(FrameworkId(name), Role(words[0]) if words else None))

    def on_revives(self, name: str, words: list[str]) -> None:
        self._handle(e.OffersRevived(FrameworkId(name), Role(words[0]) if words else None))

    def on_wants(self, name: str, words: list[str]) -> None:
        rest, role = _split(words, "under")
        rest, choice = _split(rest, "choice")
        if rest == ["everything"]:
            demand = Demand(None)
        else:
            items = [] if rest == ["nothing"] else _items(rest)
            demand = Demand(tuple(map(_want, items)), int(choice[0]) if choice else 1)
        self._handle(e.DemandStated(FrameworkId(name), demand, Role(role[0]) if role else None))

    # -- the operator, time, questions -------------------------------------------------------------------------

    def on_operator(self, words: list[str]) -> None:
        framework_id, task_id = words[1].split("/")
        self._handle(e.KillOrdered(FrameworkId(framework_id), TaskId(task_id)))

    def on_role(self, words: list[str]) -> None:
        rest, limit = _split(words[1:], "limit")
        rest, guarantee = _split(rest, "guarantee")
        rest, weight = _split(rest, "weight")
        milli = round(float(weight[0]) * 1000) if weight else None
        self._handle(e.RoleConfigured(Role(words[0]), milli, _amounts(guarantee), _amounts(limit)))

    def on_clock(self, words: list[str]) -> None:
        self._until(self.now + read_time(words[0].removeprefix("+")))

    def on_shares(self, _: list[str]) -> None:
        roles = self.cluster.state.allocator.roles
        shares = [f"{role.name}={roles.share(role):.4g}" for role in roles.clients.values()]
        self.lines.append(f"dominant shares: {' '.join(sorted(shares))}")

    def on_holders(self, _: list[str]) -> None:
        frameworks = self.cluster.state.frameworks.values()
        counts = (f"{each.id}: {len({offer.host.id for offer in each.offers.values()})}" for each in frameworks)
        self.lines.append(f"hosts offered: {', '.join(counts)}")

    def on_counts(self, _: list[str]) -> None:
        state = self.cluster.state
        tasks = sum(len(framework.tasks) for framework in state.frameworks.values())
        self.lines.append(
            f"records: {len(state.hosts)} hosts, {len(state.frameworks)} frameworks, {len(state.offers)} offers,"
            f" {tasks} tasks, {len(state.unacknowledged)} unacknowledged"
        )


def show_uuid(uuid: bytes) -> str:
    """``made7`` for the seventh thing the master made, else what the script called it; ``-`` for none."""
    if uuid.startswith(_MADE_HERE):
        return f"made{int.from_bytes(uuid.removeprefix(_MADE_HERE), 'big') & 0xFFFFFFFF}"
    return uuid.decode() or "-"


def _number(offer_id: OfferId) -> str:
    return f"#{offer_id & 0xFFFFFFFF}"


def _status(status: TaskStatus) -> str:
    why = f" {status.reason.name}" if status.reason is not Reason.NONE else ""
    message = f": {status.message}" if status.message else ""
    where = f" on {status.host_id}" if status.host_id else ""
    draining = " (draining)" if status.draining else ""
    return f"{status.task_id} {status.state.name}{where}{draining} [{show_uuid(status.uuid)}]{why}{message}"


def _quota(guarantee, limit) -> str:
    parts = [("guarantee", guarantee), ("limit", limit)]
    return "".join(f" {word} {' '.join(f'{k}={v}' for k, v in amounts.items())}" for word, amounts in parts if amounts)


def _split(words: list[str], keyword: str) -> tuple[list[str], list[str]]:
    """What stands before the keyword and after it."""
    if keyword not in words:
        return words, []
    at = words.index(keyword)
    return words[:at], words[at + 1 :]


def _items(words: Sequence[str]) -> list[list[str]]:
    """The words of each item of a list with commas."""
    return [item.split() for item in " ".join(words).split(", ") if item]


def _want(words: list[str]) -> Want:
    rest, conditions = _split(words, "where")
    rest, per_host = _split(rest, "per")
    count, of, resources = rest
    assert of == "of"
    constraints = tuple(
        Constraint(attribute, operator.replace("_", " "), tuple(values.split(",")))
        for attribute, operator, values in zip(conditions[::3], conditions[1::3], conditions[2::3], strict=True)
    )
    return Want(Resources.parse(resources), int(count), constraints, int(per_host[1]) if per_host else 0)


def _amounts(words: list[str]) -> dict[str, int] | None:
    """Of ``cpus=1;memory=0``; zero amounts count (a limit of nothing)."""
    if not words:
        return None
    amounts = {}
    for part in filter(None, words[0].replace("none", "").split(";")):
        name = part.split("=")[0]
        amounts[name] = dict(Resources.parse(part).scalars()).get(name, 0)
    return amounts


_COMMANDS: dict[str, Callable[[Scenario, list[str]], None]] = {
    name: getattr(Scenario, f"on_{name}")
    for name in (
        "show", "start", "host", "framework", "everyone", "operator", "role", "clock", "shares", "holders", "counts",
    )
}
_VERBS: dict[str, Callable[[Scenario, str, list[str]], None]] = {
    name: getattr(Scenario, f"on_{name}")
    for name in (
        "reports", "accepts", "declines", "acknowledges", "kills", "suppresses", "revives", "wants",
    )
}  # fmt: skip
