"""The writer of a framework's journal: all of it gets into the store, in transactions that a store takes."""

from __future__ import annotations

import asyncio

import pytest

from frameworks import writer
from frameworks.journal import Journal
from frameworks.writer import Writer
from offerer import Put, Unavailable
from tests.memory_store import MemoryStore
from tests.unit.test_coding_class import BenchContext


async def test_what_is_large_goes_in_several_transactions() -> None:
    store, journal = MemoryStore(), Journal()
    for number in range(5):
        journal.put(f"large/{number}", b"x" * (2 << 20))
    for number in range(4500):
        journal.put(f"small/{number:04}", b"y")
    keeper = Writer(journal)
    running = asyncio.create_task(keeper.run(BenchContext(store, lambda: 0)))
    await keeper.save()
    running.cancel()
    assert journal.empty and len(store.entries) == 4505
    for transaction in store.transactions:
        assert len(transaction) <= 2000
        assert sum(len(change.value) for change in transaction if isinstance(change, Put)) <= 4 << 20


async def test_a_store_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY", 0.001)
    monkeypatch.setattr(writer, "_PATIENCE", 0.05)
    store, journal = MemoryStore(), Journal()
    store.available = False
    keeper = Writer(journal)
    running = asyncio.create_task(keeper.run(BenchContext(store, lambda: 0)))
    journal.put("key", b"one")
    with pytest.raises(Unavailable, match="the store does not answer; it is noted"):
        await keeper.save()
    journal.put("key", b"two")
    store.available = True
    await keeper.save()
    running.cancel()
    assert store.entries["key"].value == b"two"
