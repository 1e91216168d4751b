"""What waits for a peer: what is not urgent goes with what is, or by itself a little later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from offerer.wire import outbox
from offerer.wire.outbox import Outbox
from tests.small_master import until


@asynccontextmanager
async def _written(box: Outbox[list[str]]) -> AsyncIterator[list[list[str]]]:
    """What `box` has written so far."""
    written: list[list[str]] = []

    async def write(message: list[str]) -> None:
        written.append(message)

    pump = asyncio.create_task(box.pump(write))
    yield written
    box.close()
    await pump


async def test_what_is_not_urgent_goes_with_the_next_that_is():
    box: Outbox[list[str]] = Outbox(list)
    async with _written(box) as written:
        box.message(1, urgent=False).append("later")
        for _ in range(10):
            await asyncio.sleep(0)
        assert written == []
        box.message(1).append("now")
        await until(lambda: written, "a message")
        assert written == [["later", "now"]]
        assert not box.waiting


async def test_what_is_not_urgent_goes_by_itself_where_nothing_else_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox, "NOT_URGENT", 0.01)
    box: Outbox[list[str]] = Outbox(list)
    async with _written(box) as written:
        for text in ("first", "second"):
            box.message(1, urgent=False).append(text)
            await until(lambda text=text: written and written[-1] == [text], text)


async def test_a_message_is_closed_at_its_size():
    box: Outbox[list[str]] = Outbox(list, message_bytes=10)
    async with _written(box) as written:
        for text in ("a", "b", "c"):
            box.message(11).append(text)
        await until(lambda: len(written) == 3, "three messages")
        assert written == [["a"], ["b"], ["c"]]
