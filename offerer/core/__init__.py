"""The pure core of the master: one door, `Cluster.handle(now, event) -> outputs`.

Events say what happened (past tense), outputs what to do (imperative). Time is an argument in microseconds; nothing
in here does I/O, reads a clock or rolls dice, so the same events give the same outputs, in production, in the
simulator and in tests.
"""

from offerer.core.cluster import Cluster, Settings

__all__ = ["Cluster", "Settings"]
