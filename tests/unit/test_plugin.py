"""Around a plug-in: when its methods are called, and what becomes of what they return."""

from __future__ import annotations

from offerer import SECOND, Decisions, Framework, Time, Wake, clock
from offerer.client.plugin import Plugin
from offerer.testing import SimulatedCluster
from offerer.wire import codec
from offerer.wire.outbox import Outbox
from tests.small_master import until


class Cron(Framework):
    """Wants to be woken every ten seconds, and asks for it once only when it registers."""

    name = "cron"

    def __init__(self, every: Time = 10 * SECOND) -> None:
        self.every = every
        self.calls: list[str] = []

    def on_registered(self, now: Time, tasks: object) -> Decisions:
        self.calls.append("registered")
        return [Wake(now + self.every)] if len(self.calls) == 1 else None

    def on_tick(self, now: Time) -> Decisions:
        self.calls.append("tick")
        return [Wake(now + self.every)]


async def test_a_tick_due_while_away_comes_after_the_registration() -> None:
    cron = Cron(every=3600 * SECOND)
    plugin = Plugin(cron)
    plugin.on_registered(Outbox(codec.framework.FromFramework), [])
    plugin.on_disconnected()
    plugin.wake(clock.now())
    await until(lambda: plugin.overdue, "the time")
    for _ in range(2):
        plugin.on_registered(Outbox(codec.framework.FromFramework), [])
    plugin.stop()
    assert cron.calls == ["registered", "registered", "tick", "registered"]


def test_a_tick_due_while_away_comes_after_the_registration_in_virtual_time(cluster: SimulatedCluster) -> None:
    cron = cluster.run(Cron())
    cluster.advance("19.9s")
    assert cron.calls == ["registered", "tick"]
    cluster.simulation.master.restart()
    cluster.advance("40s")
    assert cron.calls == ["registered", "tick", "registered", "tick", "tick", "tick", "tick"]
