"""Who is offered what: weighted dominant-resource fairness over roles, then frameworks. Pure.

`Allocator` keeps the ledger of every host and claimant; one `Allocator.run` shares out what became free.
The allocator knows nothing of connections, offers' ids or tasks: that is the core, one layer up.
"""

from offerer.allocator.allocator import Allocator
from offerer.allocator.drf import DrfSorter, dominant_share
from offerer.allocator.ledger import NEVER, Claimant, Grant, HostLedger, RoleLedger

__all__ = ["NEVER", "Allocator", "Claimant", "DrfSorter", "Grant", "HostLedger", "RoleLedger", "dominant_share"]
