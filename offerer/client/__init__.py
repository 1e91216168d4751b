"""The client hosts a plug-in against a master: connection, acknowledgement, duplicates, reconciliation."""

from offerer.client.client import Client, run_framework

__all__ = ["Client", "run_framework"]
