"""The network between the master and its peers: latency, loss, duplication, reordering and partitions from the dice.

As in production, a peer has one *stream* to the master, and messages of one stream arrive in order. A lost message
takes its stream with it: nothing after it arrives, both ends notice some time later, and the peer connects anew.
Beyond what gRPC does, single messages may come twice, or late, after others of their stream. Only those that state
how things are (a registration, a demand, suppress and revive) never do: what they say replaces what was said before.
And a kill never overtakes the launch before it: there would be nothing to stop, and afterwards nobody who stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from offerer.core import events as e
from offerer.core import outputs as o
from offerer.errors import InvalidInput
from offerer.sim.world import World
from offerer.types import SECOND, Time

NOTICE: Final[Time] = 15 * SECOND
"""After three missed heartbeats a silent peer is taken to be away."""
RETRY: Final[Time] = 2 * SECOND
_IN_ORDER: Final = frozenset(
    {e.HostRegistered, e.FrameworkRegistered, e.DemandStated, e.OffersSuppressed, e.OffersRevived, o.ConfirmHost,
     o.ConfirmFramework}
)  # fmt: skip
_LAUNCHES: Final = (e.OffersAccepted, o.LaunchTasks)
_KILLS: Final = (e.KillRequested, o.KillTask)


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is. Times are in microseconds, probabilities per message."""

    latency: Time = 500
    jitter: Time = 0
    """Up to this much is added to the latency."""
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"network.{name}: {getattr(self, name)!r} must be a probability from 0 to below 1")
        for name in ("latency", "jitter"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"network.{name}: {getattr(self, name)!r} must not be negative")


class Network:
    """All streams."""

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.cut_off: set[str] = set()  # peers that no message reaches, nor any of theirs the master
        self.messages = 0
        self.lost = 0
        self._streams: dict[str, Stream] = {}

    def connect(self, stream: Stream) -> bool:
        """Open a stream. False where there is no way through."""
        if stream.peer in self.cut_off:
            return False
        self._streams[stream.peer] = stream
        return True

    def partition(self, peer: str) -> None:
        """Let no message of this peer through; both ends notice after `NOTICE`."""
        self.cut_off.add(peer)
        stream = self._streams.get(peer)
        if stream is not None:
            stream.fall_silent(NOTICE)

    def heal(self, peer: str) -> None:
        """Let its messages through again."""
        self.cut_off.discard(peer)


class Stream:
    """One connection. `to_master` and `to_peer` take messages as they arrive, `broken` its end, once for both ends."""

    def __init__(
        self,
        network: Network,
        peer: str,
        to_master: Callable[[Any], None],
        to_peer: Callable[[Any], None],
        broken: Callable[[], None],
    ) -> None:
        self.peer = peer
        self.open = True
        self._silent = False
        self._network = network
        self._world = network.world
        self._ends = (to_master, to_peer)
        self._latest: list[Time] = [0, 0]
        self._launched: list[Time] = [0, 0]  # when the last launch arrives
        self._broken = broken

    def up(self, message: e.Event) -> None:
        """Send to the master."""
        self._send(0, message)

    def down(self, message: o.Output) -> None:
        """Send to the peer."""
        self._send(1, message)

    def fall_silent(self, noticed_after: Time) -> None:
        """Nothing arrives any more, and both ends notice after that time."""
        if not self._silent:
            self._silent = True
            self._world.call_at(self._world.now + noticed_after, self.close)

    def close(self) -> None:
        """The connection is gone, and both ends know."""
        if self.open:
            self.open = False
            self._broken()

    def _send(self, direction: int, message: Any) -> None:
        network, world, weather = self._network, self._world, self._network.weather
        network.messages += 1
        if self._silent or not self.open:
            network.lost += 1
            return
        dice = world.dice
        if weather.loss and dice.random() < weather.loss:
            network.lost += 1
            self.fall_silent(dice.randrange(NOTICE))
            return
        at = world.now + weather.latency + (dice.randrange(weather.jitter + 1) if weather.jitter else 0)
        at = max(at, self._latest[direction])
        if weather.reordering and type(message) in _KILLS:
            at = max(at, self._launched[direction])
        arrive = partial(self._arrive, direction, message)
        free = type(message) not in _IN_ORDER
        if free and weather.duplication and dice.random() < weather.duplication:
            world.call_at(at + self._delay(), arrive)
        if free and weather.reordering and dice.random() < weather.reordering:
            at += self._delay()
        else:
            self._latest[direction] = at
        if weather.reordering and type(message) in _LAUNCHES:
            self._launched[direction] = max(at, self._launched[direction])
        world.call_at(at, arrive)

    def _delay(self) -> Time:
        return self._world.dice.randrange(1, 10 * (self._network.weather.latency + self._network.weather.jitter) + 2)

    def _arrive(self, direction: int, message: Any) -> None:
        if self.open and not self._silent:
            self._ends[direction](message)
