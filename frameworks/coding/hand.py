"""The offers that a planner holds, host by host, and what it waits for told anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from frameworks.coding.placement import Host
from offerer import Decision, Decline, Demand, HostId, Offer, OfferId, Resources, Time


class Hand:
    """Offers are taken up one by one, and forgotten by the host: used, given back, or void."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.hosts: dict[HostId, Host] = {host.id: host for host in hosts}
        """All that are known, whether an offer of them is held or not."""
        self._host_of: dict[OfferId, Host] = {}

    @property
    def held(self) -> list[Host]:
        """The hosts of the offers held, each once."""
        return list({host.id: host for host in self._host_of.values()}.values())

    def take(self, offer: Offer, now: Time) -> Host:
        """An offer came. Returns its host."""
        host = self.hosts.get(offer.host_id)
        if host is None:
            nothing = Resources()
            host = self.hosts[offer.host_id] = Host(offer.host_id, offer.host, {}, offer.address, nothing, nothing)
        host.add(offer, now)
        self._host_of[offer.id] = host
        return host

    def forget(self, host: Host) -> None:
        """No offer of this host is held any more."""
        for offer in host.offers:
            self._host_of.pop(offer, None)
        host.offers, host.placed = [], []

    def void(self, offers: Iterable[OfferId]) -> Iterator[tuple[Host, list[Decision]]]:
        """The hosts of offers that are void, and what gives back the others of each; forget each before the next."""
        for offer in offers:
            host = self._host_of.pop(offer, None)
            if host is not None:
                host.offers.remove(offer)
                yield host, [Decline(tuple(host.offers), 0)] if host.offers else []

    def give_back(self, hosts: Iterable[Host]) -> list[Decision]:
        """Decline the offers of these hosts, and forget them."""
        offers: list[OfferId] = []
        for host in hosts:
            offers += host.offers
            self.forget(host)
        return [Decline(tuple(offers))] if offers else []


def wants_more(before: Demand | None, after: Demand) -> bool:
    """Whether something is wanted now that was not wanted before, so that refusals must not delay it."""
    if before is None or before.wants is None or after.wants is None:
        return before is not None and before.wants is not None
    known = {(want.resources, want.constraints): want.count for want in before.wants}
    return any(want.count > known.get((want.resources, want.constraints), 0) for want in after.wants)
