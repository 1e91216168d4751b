"""Around the plug-in: calls its methods, survives what they raise, turns decisions into messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from offerer import clock
from offerer.client.decisions import check_framework, decided
from offerer.client.views import Views
from offerer.framework import (
    DEFAULT_REFUSE_FOR,
    Decision,
    Decline,
    Demand,
    Framework,
    Kill,
    Launch,
    Revive,
    Suppress,
    Wake,
)
from offerer.ids import HostId, OfferId, TaskId
from offerer.types import SECOND, Offer, TaskStatus, Time
from offerer.wire import codec
from offerer.wire.outbox import Outbox

log = logging.getLogger(__name__)

_BYTES = 64


class Plugin:
    """One framework instance, its views of tasks and the offers it holds."""

    def __init__(self, framework: Framework) -> None:
        check_framework(framework)
        self.framework = framework
        self.views = Views()
        self.outbox: Outbox[codec.framework.FromFramework] | None = None  # None: not registered now
        self.raised: Callable[[Exception], None] | None = None
        """Called with what the plug-in raises, for tests."""
        self._offers: dict[OfferId, HostId] = {}
        self._wake_at: Time | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._encode: dict[type, Callable[[Any], None]] = {
            Launch: self._launch,
            Decline: self._decline,
            Kill: self._kill,
            Demand: self._demand,
            Suppress: lambda _: self._interest(codec.framework.SUPPRESS),
            Revive: lambda _: self._interest(codec.framework.REVIVE),
            Wake: lambda wake: self.wake(wake.at),
        }

    # -- what the master says -----------------------------------------------------------------------------------

    def on_registered(self, outbox: Outbox[codec.framework.FromFramework], tasks: Sequence[TaskStatus]) -> None:
        """Connected: offers from before are void, all tasks are told."""
        self.outbox = outbox
        self._offers.clear()
        strays, known = self.views.strays(tasks), self.views.snapshot(tasks)
        self._ask(self.framework.on_registered, known)
        self._stop(strays)
        self._acknowledge(tasks)
        if self.overdue:
            self._tick()

    def on_disconnected(self) -> None:
        """Decisions go nowhere until the next registration."""
        self.outbox = None

    def on_statuses(self, statuses: Sequence[TaskStatus]) -> None:
        """What is new goes to the plug-in; all of it is acknowledged afterwards, so that a crash loses nothing."""
        strays = self.views.strays(statuses)
        news = [status for status in statuses if self.views.news(status)]
        if news:
            self._ask(self.framework.on_statuses, news)
        self._stop(strays)
        self._acknowledge(statuses)

    def on_offers(self, offers: Sequence[Offer]) -> None:
        """Offers a plug-in raised over are declined; those it merely holds are its own business."""
        for offer in offers:
            self._offers[offer.id] = offer.host_id
        if not self._ask(self.framework.on_offers, offers):
            left = [offer.id for offer in offers if offer.id in self._offers]
            self._do([Decline(left, DEFAULT_REFUSE_FOR)])

    def on_rescinded(self, offer_ids: Sequence[OfferId]) -> None:
        """Offers are void."""
        for offer_id in offer_ids:
            self._offers.pop(offer_id, None)
        self._ask(self.framework.on_rescinded, offer_ids)

    def wake(self, at: Time) -> None:
        """Call the plug-in's `on_tick` then, or earlier if it was asked for earlier; not before it is registered."""
        if self._wake_at is not None and self._wake_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = at
        self._set_timer()

    def _set_timer(self) -> None:
        assert self._wake_at is not None
        wait = max(0, self._wake_at - clock.now()) / SECOND
        self._timer = asyncio.get_running_loop().call_later(min(wait, 86400.0), self._tick)

    @property
    def overdue(self) -> bool:
        """Whether the time asked for came while there was no connection: the tick comes after the registration."""
        return self._wake_at is not None and self._timer is None

    def stop(self) -> None:
        """No more ticks."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        if self._wake_at is not None and clock.now() < self._wake_at:
            return self._set_timer()  # the event loop's clock is a little ahead of ours, or the wait was cut
        self._timer = None
        if self.outbox is not None:
            self._wake_at = None
            self._ask(self.framework.on_tick)

    # -- what the plug-in says ----------------------------------------------------------------------------------

    def _ask(self, method: Callable[..., Iterable[Decision] | None], *args: object) -> bool:
        """Call a method of the plug-in and carry its decisions out. False where it raised."""
        try:
            self._do(decided(method.__name__, method(clock.now(), *args)))
        except Exception as error:  # whatever a plug-in does wrong hurts only itself
            log.exception("framework %s: %s failed", self.framework.name, method.__name__)
            if self.raised is not None:
                self.raised(error)
            return False
        return True

    def _do(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            encode = self._encode[type(decision)]
            if self.outbox is not None or encode is self._encode[Wake]:
                encode(decision)

    def _message(self, size: int) -> codec.framework.FromFramework:
        assert self.outbox is not None
        return self.outbox.message(size)

    def _acknowledge(self, statuses: Sequence[TaskStatus]) -> None:
        uuids = [status.uuid for status in statuses if status.uuid]
        if uuids and self.outbox is not None:
            self._message(18 * len(uuids)).acks.extend(uuids)

    def _stop(self, strays: Iterable[TaskId]) -> None:
        """What the plug-in takes to have ended must not live on unseen."""
        for task_id in strays:
            log.warning("framework %s: stopping task %s, which was said to have ended", self.framework.name, task_id)
            self._do([Kill(task_id)])

    def _launch(self, launch: Launch) -> None:
        host_id = next((self._offers[each] for each in launch.offers if each in self._offers), HostId(""))
        self.views.launched([task.task_id for task in launch.tasks], host_id)
        accept = codec.framework.Accept(offer_ids=launch.offers, refuse_for=launch.refuse_for)
        size = _BYTES
        for task in launch.tasks:
            codec.write_task(accept.tasks.add(), task)
            size += _BYTES + len(task.spec)
        for offer_id in launch.offers:
            self._offers.pop(offer_id, None)
        self._message(size).accepts.append(accept)

    def _decline(self, decline: Decline) -> None:
        if decline.offers:
            message = codec.framework.Decline(offer_ids=decline.offers, refuse_for=decline.refuse_for)
            for offer_id in decline.offers:
                self._offers.pop(offer_id, None)
            self._message(9 * len(decline.offers)).declines.append(message)

    def _kill(self, kill: Kill) -> None:
        self._message(_BYTES).kills.append(codec.framework.Kill(task_id=TaskId(kill.task_id), grace=kill.grace))

    def _demand(self, demand: Demand) -> None:
        stated = codec.framework.Demand()
        codec.write_demand(stated, demand)
        message = self._message(_BYTES * (1 + len(demand.wants or ())))
        message.demand.CopyFrom(stated)

    def _interest(self, interest: codec.framework.Interest) -> None:
        self._message(_BYTES).interest = interest
