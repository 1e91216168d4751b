"""What every store accepts: the form of keys, the size of a transaction."""

from collections.abc import Sequence
from typing import Final

from offerer.errors import InvalidInput
from offerer.store.protocol import Compare, Delete, Put

MAX_KEY: Final = 1024
"""Bytes of a key."""
MAX_TRANSACTION: Final = 8 << 20
"""Bytes of all keys and values of one transaction: well within one message of the wire."""


def check_key(key: str) -> None:
    """Raise `InvalidInput` unless this can be a key."""
    try:
        good = 0 < len(key.encode()) <= MAX_KEY and "\0" not in key
    except UnicodeEncodeError:
        good = False
    if not good:
        raise InvalidInput(f"store: {key[:80]!r} is not a key; use 1 to {MAX_KEY} bytes of UTF-8 without NUL")


def check_transaction(changes: Sequence[Put | Delete], compares: Sequence[Compare]) -> None:
    """Raise `InvalidInput` for a key that is none, or for more than a transaction may hold."""
    for each in (*changes, *compares):
        check_key(each.key)
    size = sum(len(each.key.encode()) + (len(each.value) if isinstance(each, Put) else 0) for each in changes)
    if size > MAX_TRANSACTION:
        raise InvalidInput(f"store: a transaction has {size} bytes, at most {MAX_TRANSACTION}; split it")
