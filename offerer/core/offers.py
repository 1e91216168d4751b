"""Offers: made of the allocator's grants, accepted, declined, rescinded, timed out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import takewhile

from offerer.allocator import NEVER, Claimant, Grant, HostLedger
from offerer.core import tasks as _tasks
from offerer.core.events import OffersAccepted, OffersDeclined
from offerer.core.outputs import LaunchTasks, RescindOffers, SendOffers
from offerer.core.state import Framework, Host, OutstandingOffer, State, Task
from offerer.framework import FOREVER
from offerer.ids import FrameworkId, OfferId, Role
from offerer.resources import NOTHING, Resources
from offerer.task_states import TaskState
from offerer.types import SECOND, Offer, Reason, TaskInfo, TaskStatus, Time

MAX_TASK_ID = 255
LOOK_AGAIN: Time = 600 * SECOND
"""A refusal for ever that was revived or renewed leaves its timer behind no longer than this."""
_FEW = 100  # refused hosts


def allocate(state: State) -> None:
    """Share out what became free and make offers of it."""
    batches: dict[FrameworkId, list[OutstandingOffer]] = {}
    until = state.now + state.settings.offer_timeout
    for grant in state.allocator.run(state.now):
        offer = _make_offer(state, grant, until)
        batches.setdefault(offer.framework.id, []).append(offer)
    for framework_id, offers in batches.items():
        state.outputs.append(SendOffers(framework_id, [_as_sent(offer) for offer in offers]))
    _await_answers(state)
    _await_end_of_holds(state)


def _await_end_of_holds(state: State) -> None:
    """One timer, for the first host kept for somebody that may be kept in vain."""
    expires = state.allocator.holds.expires
    if state.hold_timer is None and expires != NEVER:
        state.hold_timer = state.timers.set(expires, partial(_end_holds, state))


def _end_holds(state: State) -> None:
    state.hold_timer = None
    state.allocator.holds.expire(state.now)  # whoever runs the timers allocates afterwards


def _make_offer(state: State, grant: Grant, until: Time) -> OutstandingOffer:
    host = grant.host
    assert isinstance(host, Host)
    framework = state.frameworks[grant.claimant.framework_id]
    offer = OutstandingOffer(OfferId(state.next_id()), framework, host, grant, state.now, until)
    state.offers[offer.id] = framework.offers[offer.id] = host.offers[offer.id] = offer
    return offer


def _as_sent(offer: OutstandingOffer) -> Offer:
    host, grant = offer.host, offer.grant
    role = Role(grant.claimant.role.name)
    return Offer(offer.id, host.id, host.name, role, grant.amount, host.attributes, host.address)


def _await_answers(state: State) -> None:
    """One timer, for the oldest offer out: all have the same time, and those answered leave nothing behind."""
    if state.offer_timer is None and state.offers:
        oldest = next(iter(state.offers.values()))
        state.offer_timer = state.timers.set(oldest.until, partial(_time_out, state))


def _time_out(state: State) -> None:
    """Whoever sat on an offer for so long does not get it back at once."""
    state.offer_timer = None
    late = list(takewhile(lambda offer: offer.until <= state.now, state.offers.values()))
    take_back(state, late, refuse_for=state.settings.offer_timeout)
    _await_answers(state)


def take_back(
    state: State, offers: Iterable[OutstandingOffer], *, notify: bool = True, refuse_for: Time = 0
) -> None:
    """Rescind offers and tell their frameworks."""
    rescinded: dict[FrameworkId, list[OfferId]] = {}
    refused: list[OutstandingOffer] = []
    for offer in offers:
        _settle(state, offer, offer.grant.amount, refuse_for)
        refused.append(offer)
        if notify and offer.framework.connected:
            rescinded.setdefault(offer.framework.id, []).append(offer.id)
    if refuse_for:
        _end_refusals_later(state, refused, refuse_for)
    state.outputs.extend(RescindOffers(framework_id, ids) for framework_id, ids in rescinded.items())


def _settle(state: State, offer: OutstandingOffer, unused: Resources, refuse_for: Time) -> None:
    del state.offers[offer.id], offer.framework.offers[offer.id], offer.host.offers[offer.id]
    state.allocator.settle(offer.grant, unused, state.now, refuse_for)


def _end_refusals_later(state: State, offers: Iterable[OutstandingOffer], refuse_for: Time) -> None:
    """One timer for all the hosts refused at once."""
    until = state.now + refuse_for
    by_claimant: dict[Claimant, list[HostLedger]] = {}
    for offer in offers:
        by_claimant.setdefault(offer.grant.claimant, []).append(offer.host)
    for claimant, hosts in by_claimant.items():
        claimant.awaited += len(hosts)
        _await_end(state, claimant, hosts, until, claimant.revived)


def _await_end(state: State, claimant: Claimant, hosts: list[HostLedger], until: Time, revived: int) -> None:
    at = min(until, state.now + LOOK_AGAIN)
    state.timers.set(at, partial(_end_refusals, state, claimant, hosts, until, revived))


def _end_refusals(state: State, claimant: Claimant, hosts: list[HostLedger], until: Time, revived: int) -> None:
    """Looks at each host only when their time has come, or when many must have been refused anew meanwhile."""
    standing = hosts
    if revived != claimant.revived:
        standing = []
    elif until <= state.now or claimant.awaited > 2 * len(claimant.refused) + _FEW:
        standing = state.allocator.end_refusals(claimant, hosts, until, state.now)
    claimant.awaited -= len(hosts) - len(standing)
    if standing:
        _await_end(state, claimant, standing, until, revived)


def on_offers_declined(state: State, event: OffersDeclined) -> None:
    """Take them back; an offer that is no longer out (rescinded on the way) is passed over."""
    framework = _tasks.registered(state, event.framework_id)
    refuse_for = min(max(0, event.refuse_for), FOREVER)
    offers = [framework.offers[offer_id] for offer_id in dict.fromkeys(event.offer_ids) if offer_id in framework.offers]
    for offer in offers:
        _settle(state, offer, offer.grant.amount, refuse_for)
    if refuse_for:
        _end_refusals_later(state, offers, refuse_for)


def on_offers_accepted(state: State, event: OffersAccepted) -> None:
    """Launch within the offers; the rest goes back at once. What is not within them is dropped with the reason."""
    framework = _tasks.registered(state, event.framework_id)
    offers = [framework.offers.get(offer_id) for offer_id in dict.fromkeys(event.offer_ids)]
    valid = [offer for offer in offers if offer is not None]
    wrong = _why_invalid(event, offers, valid)
    if wrong is not None:
        for offer in valid:
            _settle(state, offer, offer.grant.amount, 0)
        for task in event.tasks:
            _tasks.drop(state, framework, task.task_id, Reason.INVALID_OFFER, wrong)
        return
    rest = NOTHING
    for offer in valid:
        rest = rest + offer.grant.amount
    first = valid[0]
    launched, rest = _launch(state, framework, first, event.tasks, rest)
    refuse_for = min(max(0, event.refuse_for), FOREVER)
    for offer in valid:
        _settle(state, offer, rest if offer is first else NOTHING, refuse_for)
    if refuse_for and rest:
        _end_refusals_later(state, [first], refuse_for)
    if launched:
        state.outputs.append(LaunchTasks(first.host.id, framework.id, launched))


def _why_invalid(
    event: OffersAccepted, offers: list[OutstandingOffer | None], valid: list[OutstandingOffer]
) -> str | None:
    if not valid:
        return "no offer is named" if not offers else "the offer is not out any more, or was never this framework's"
    if len(valid) < len(event.offer_ids):
        return "one of the offers is named twice, is not out any more, or was never this framework's"
    if any(offer.host is not valid[0].host for offer in valid):
        return "the offers are of more than one host"
    if any(offer.grant.claimant is not valid[0].grant.claimant for offer in valid):
        return "the offers are of more than one role"
    return None


def _launch(
    state: State, framework: Framework, offer: OutstandingOffer, tasks: Iterable[TaskInfo], rest: Resources
) -> tuple[list[TaskInfo], Resources]:
    """The tasks that fit, each booked, and what is left of the offers."""
    host, claimant = offer.host, offer.grant.claimant
    launched = []
    for info in tasks:
        wrong = _why_not(framework, info, rest)
        if wrong is not None:
            _tasks.drop(state, framework, info.task_id, Reason.INVALID_TASK, wrong)
            continue
        rest = rest - info.resources
        status = TaskStatus(info.task_id, TaskState.STAGING, host.id, at=state.now)
        task = Task(framework, host, info.resources, status)
        task.claimant = claimant
        framework.tasks[info.task_id] = host.tasks[framework.id, info.task_id] = task
        launched.append(info)
    return launched, rest


def _why_not(framework: Framework, info: TaskInfo, rest: Resources) -> str | None:
    task_id = info.task_id
    if task_id in framework.tasks:
        return "a task of this id exists already"
    if not task_id or len(task_id) > MAX_TASK_ID or not task_id.isprintable() or "/" in task_id:
        return f"task id {task_id!r}: use 1 to {MAX_TASK_ID} printable characters without '/'"
    if not rest.contains(info.resources):
        return f"it takes {info.resources}, the offers have only {rest} left"
    if info.resources.empty:
        return "it takes no resources at all; give it some cpus or memory"
    return None
