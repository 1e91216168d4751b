"""What every store does: one suite, run against SQLite itself and against a master's store over real gRPC."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from offerer import Change, Compacted, Compare, Conflict, Delete, Entry, InvalidInput, Put, Store, Unavailable
from offerer.store.limits import MAX_TRANSACTION
from offerer.store.remote import RemoteStore
from offerer.store.service import StoreService
from offerer.store.sqlite import SqliteStore
from offerer.wire import codec

KEPT = 100
OPTIONS = [("grpc.max_receive_message_length", codec.MAX_MESSAGE), ("grpc.max_send_message_length", codec.MAX_MESSAGE)]


@contextlib.asynccontextmanager
async def served(store: Store, prefix: str) -> AsyncIterator[RemoteStore]:
    """The store as a framework in another process sees it."""
    server = grpc.aio.server(options=OPTIONS)
    codec.add_StoreServicer_to_server(StoreService(store), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            yield RemoteStore(channel, prefix)
    finally:
        await server.stop(None)


@pytest.fixture(params=["sqlite", "remote"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    sqlite = await SqliteStore.open(tmp_path / "store.db", kept_changes=KEPT)
    try:
        if request.param == "sqlite":
            yield sqlite
        else:
            async with served(sqlite, "frameworks/mine/") as remote:
                yield remote
    finally:
        await sqlite.close()


async def collect(store: Store, prefix: str, after: int, until: int) -> list[Change]:
    """Changes of a watch up to and with revision `until`."""
    seen: list[Change] = []
    watch = store.watch(prefix, after)
    async with asyncio.timeout(20), contextlib.aclosing(watch):
        async for changes in watch:
            seen += changes
            if changes[-1].revision >= until:
                return seen
    raise AssertionError("the watch ended")


async def test_what_was_put_is_read_with_its_revision(store: Store) -> None:
    assert await store.get("a") is None
    first = await store.transact([Put("a", b"1"), Put("b", b"")])
    second = await store.transact([Put("a", b"2")])
    assert second == first + 1
    assert await store.get("a") == Entry("a", b"2", second)
    assert await store.get("b") == Entry("b", b"", first)


async def test_a_deleted_key_is_gone_and_deleting_it_again_is_no_error(store: Store) -> None:
    await store.transact([Put("a", b"1")])
    await store.transact([Delete("a")])
    await store.transact([Delete("a")])
    assert await store.get("a") is None


async def test_of_two_changes_of_a_key_in_a_transaction_the_later_holds(store: Store) -> None:
    revision = await store.transact([Put("a", b"1"), Put("a", b"2"), Put("b", b"1"), Delete("b")])
    assert await store.range("") == ([Entry("a", b"2", revision)], revision)
    assert await collect(store, "", 0, revision) == [Change("a", b"2", revision), Change("b", None, revision)]


@pytest.mark.parametrize("prefix", ["a/", "é/", "a/\U0010ffff", "\U0010ffff", "\ud7ff", "a%", "a_", "[a]*"])
async def test_range_gives_the_keys_with_the_prefix_sorted_and_no_others(store: Store, prefix: str) -> None:
    inside = [prefix, prefix + "1", prefix + "é", prefix + "\U0010ffff", prefix + "z/deep"]
    outside = ["a", "a.", "b", "zz", "\ue000", "A/", "é", "axx"]
    revision = await store.transact([Put(key, b"x") for key in inside + outside])
    entries, at = await store.range(prefix)
    assert [entry.key for entry in entries] == sorted(inside)
    assert at == revision


async def test_a_transaction_whose_comparison_fails_changes_nothing(store: Store) -> None:
    revision = await store.transact([Put("a", b"1")])
    with pytest.raises(Conflict, match="'.*a' was last changed at revision"):
        await store.transact([Put("a", b"2"), Put("b", b"2")], [Compare("a", revision - 1)])
    with pytest.raises(Conflict, match="'.*b' does not exist"):
        await store.transact([Put("a", b"2")], [Compare("a", revision), Compare("b", revision)])
    with pytest.raises(Conflict, match="expected not to exist"):
        await store.transact([Put("a", b"2")], [Compare("a", 0)])
    assert await store.range("") == ([Entry("a", b"1", revision)], revision)
    assert await store.transact([Put("a", b"2")], [Compare("a", revision), Compare("b", 0)]) == revision + 1


async def test_of_many_that_race_for_a_key_one_wins_each_round(store: Store) -> None:
    """Fifty counters incremented at once by compare-and-swap: no increment is lost."""

    async def increment() -> None:
        while True:
            entry = await store.get("n")
            value = str(int(entry.value) + 1 if entry else 1).encode()
            with contextlib.suppress(Conflict):
                await store.transact([Put("n", value)], [Compare("n", entry.revision if entry else 0)])
                return

    await asyncio.gather(*(increment() for _ in range(50)))
    entry = await store.get("n")
    assert entry is not None and entry.value == b"50"


async def test_a_watch_sees_each_later_change_under_its_prefix_once_and_in_order(store: Store) -> None:
    await store.transact([Put("w/old", b"0")])
    _, after = await store.range("w/")
    watching = asyncio.create_task(collect(store, "w/", after, after + 21))
    for i in range(20):
        await store.transact([Put(f"w/{i % 3}", str(i).encode()), Put("other", b"")])
    last = await store.transact([Delete("w/0")])
    seen = await watching
    assert [change.value for change in seen] == [*(str(i).encode() for i in range(20)), None]
    assert [change.revision for change in seen] == list(range(after + 1, last + 1))


async def test_a_watch_resumes_from_any_revision_still_kept(store: Store) -> None:
    revisions = [await store.transact([Put("k", str(i).encode())]) for i in range(30)]
    for after in (0, revisions[0], revisions[15], revisions[28]):
        seen = await collect(store, "k", after, revisions[-1])
        assert [change.revision for change in seen] == [each for each in revisions if each > after]


async def test_a_watch_from_before_what_is_kept_says_so(store: Store) -> None:
    for i in range(3 * KEPT):
        last = await store.transact([Put("k", str(i).encode())])
    with pytest.raises(Compacted, match="changes after revision 0 are not kept.*read everything again"):
        await collect(store, "k", 0, last)
    seen = await collect(store, "k", last - KEPT, last)
    assert len(seen) == KEPT
    with pytest.raises(Compacted):  # a store put back from a backup is behind its watchers
        await collect(store, "k", last + 1, last + 2)


async def test_a_watch_that_is_left_lets_go_and_another_goes_on(store: Store) -> None:
    task = asyncio.create_task(collect(store, "", 0, 100))
    other = asyncio.create_task(collect(store, "", 0, 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.transact([Put("a", b"")])
    assert await other == [Change("a", b"", 1)]


async def test_more_than_fits_in_one_message_is_read_and_watched_whole(store: Store) -> None:
    for i in range(6):
        last = await store.transact([Put(f"big/{i}", bytes([i]) * (4 << 20))])
    entries, _ = await store.range("big/")
    assert [(entry.value[0], len(entry.value)) for entry in entries] == [(i, 4 << 20) for i in range(6)]
    assert len(await collect(store, "big/", 0, last)) == 6


@pytest.mark.parametrize("key", ["", "x" * 1025, "nul\0", "\udc80"])
async def test_what_is_no_key_is_named(store: Store, key: str) -> None:
    with pytest.raises(InvalidInput, match="is not a key; use 1 to 1024 bytes"):
        await store.get(key)
    with pytest.raises(InvalidInput, match="is not a key"):
        await store.transact([Put(key, b"")])


async def test_too_much_for_one_transaction_is_refused_with_the_limit(store: Store) -> None:
    with pytest.raises(InvalidInput, match=f"at most {MAX_TRANSACTION}; split it"):
        await store.transact([Put("a", bytes(MAX_TRANSACTION))])


async def test_a_framework_sees_only_its_own_keys(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    async with served(store, "frameworks/one/") as one, served(store, "frameworks/two/") as two:
        await store.transact([Put("masters/leader", b"secret")])
        await one.transact([Put("mine", b"1")])
        revision = await two.transact([Put("mine", b"2"), Put("theirs", b"2")])
        assert [entry.key for entry in (await one.range(""))[0]] == ["mine"]
        assert await one.get("theirs") is None
        assert await collect(two, "", 0, revision) == [Change("mine", b"2", 3), Change("theirs", b"2", 3)]
        assert await store.get("frameworks/one/mine") == Entry("frameworks/one/mine", b"1", 2)
    await store.close()


async def test_a_master_that_goes_away_is_unavailable_not_a_failure_of_grpc(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    async with served(store, "") as remote:
        watching = asyncio.create_task(collect(remote, "", 0, 1))
        await remote.get("a")
        await store.close()
        with pytest.raises(Unavailable, match="closed"):
            await remote.get("a")
        with pytest.raises(Unavailable):
            await watching
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        nobody = RemoteStore(channel, "")
        for attempt in (nobody.get("a"), nobody.range(""), nobody.transact([]), collect(nobody, "", 0, 1)):
            with pytest.raises(Unavailable):
                await attempt
