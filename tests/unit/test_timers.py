"""Timers of the core, and that the core does not gather them."""

from offerer import Resources
from offerer.core import Cluster
from offerer.core import events as e
from offerer.core.outputs import SendOffers
from offerer.core.timers import Timers
from offerer.framework import FOREVER
from offerer.types import SECOND


def test_due_ones_fire_in_the_order_of_their_times_then_of_setting():
    timers, fired = Timers(), []
    for at, name in ((20, "c"), (10, "a"), (10, "b"), (30, "d")):
        timers.set(at, lambda name=name: fired.append(name))
    assert timers.next() == 10
    timers.fire(20)
    assert fired == ["a", "b", "c"]
    assert timers.next() == 30


def test_a_cancelled_one_neither_fires_nor_counts_as_next():
    timers, fired = Timers(), []
    timers.set(10, lambda: fired.append("a")).cancel()
    timers.set(20, lambda: fired.append("b"))
    assert timers.next() == 20
    timers.fire(20)
    assert fired == ["b"]
    assert timers.next() is None


def test_one_may_cancel_another_of_the_same_time_and_set_new_ones():
    timers, fired = Timers(), []
    timers.set(10, lambda: second.cancel())
    second = timers.set(10, lambda: fired.append("second"))
    timers.set(10, lambda: timers.set(10, lambda: fired.append("new")))
    timers.fire(10)
    assert fired == ["new"]


def test_time_does_not_go_backwards_for_the_core():
    cluster = Cluster()
    cluster.handle(100, e.TimePassed())
    cluster.handle(50, e.TimePassed())
    assert cluster.state.now == 100


def test_answered_offers_and_renewed_refusals_leave_no_timers_behind():
    """A framework refuses for ever and revives, thousands of times: the core holds timers of ten minutes at most."""
    cluster = Cluster()
    cluster.handle(0, e.ClusterStarted(1))
    cluster.handle(0, e.HostRegistered("h1", "h1", "", {}, Resources.of(cpus=1)))
    cluster.handle(0, e.FrameworkRegistered("f1", ("*",), SECOND, {}))
    now = 0
    for _ in range(5000):
        sent = [each for each in cluster.handle(now, e.TimePassed()) if isinstance(each, SendOffers)]
        ids = [offer.id for output in sent for offer in output.offers]
        cluster.handle(now, e.OffersDeclined("f1", ids, FOREVER))
        cluster.handle(now, e.OffersRevived("f1"))
        now += SECOND
    assert len(cluster.state.timers._heap) < 700
