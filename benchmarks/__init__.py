"""Measurements of the running system. Each prints one JSON object on standard output with ``--json``."""
