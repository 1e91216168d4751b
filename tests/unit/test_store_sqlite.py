"""The SQLite store's own promises: durable, one master at a time, never in the way of the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from offerer import InvalidInput, Put, Unavailable
from offerer.store.sqlite import SqliteStore


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    store = await SqliteStore.open(path)
    for i in range(5):
        revision = await store.transact([Put(f"k{i}", b"v")])
    await store.close()
    store = await SqliteStore.open(path)
    entries, at = await store.range("")
    assert len(entries) == 5 and at == revision
    assert await store.transact([Put("more", b"")]) == revision + 1
    assert [change.key for change in await anext(store.watch("", revision))] == ["more"]
    await store.close()


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A process that writes as fast as it can is killed; each revision it was told of is in the file."""
    program = """
import asyncio, sys
from offerer import Put
from offerer.store.sqlite import SqliteStore
async def main():
    store = await SqliteStore.open(sys.argv[1])
    async def write(i):
        while True:
            print(await store.transact([Put(f"k{i}", b"x" * 100)]), flush=True)
    await asyncio.gather(*map(write, range(8)))
asyncio.run(main())
"""
    path = tmp_path / "store.db"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    store = await SqliteStore.open(path)  # the dead process holds nothing
    _, revision = await store.range("")
    await store.close()
    assert revision >= max(acknowledged)
    assert sorted(acknowledged) == acknowledged == sorted(set(acknowledged))


async def test_transactions_that_wait_share_a_commit(tmp_path: Path) -> None:
    """A thousand at once take far fewer syncs than a thousand, and each gets a revision of its own."""
    store = await SqliteStore.open(tmp_path / "store.db")
    revisions = await asyncio.gather(*(store.transact([Put(f"k{i}", b"v")]) for i in range(1000)))
    assert revisions == list(range(1, 1001))
    wal = (tmp_path / "store.db-wal").stat().st_size
    # Each commit writes the pages it touched to the log: one by one, these would be at least 3 pages each.
    assert wal < 1000 * 3 * 4096 / 4
    await store.close()


async def test_the_event_loop_goes_on_while_the_store_works(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    for i in range(8):
        await store.transact([Put(f"{i}/{j}", bytes(10_000)) for j in range(500)])
    working = asyncio.gather(*(store.range("") for _ in range(5)), store.transact([Put("x", bytes(5 << 20))]))
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    await working
    await store.close()
    assert turns > 100  # were the loop to wait for each answer, there would be about six


async def test_a_second_master_is_told_who_holds_the_file(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    with pytest.raises(Unavailable, match=rf"store.db is in use by another master \(process {os.getpid()}\); stop it"):
        await SqliteStore.open(tmp_path / "store.db")
    await store.close()
    await (await SqliteStore.open(tmp_path / "store.db")).close()


async def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be mistaken for the header of one\n" * 100)
    with pytest.raises(InvalidInput, match="notes.txt is not a SQLite database; name another file"):
        await SqliteStore.open(text)
    assert text.read_text().startswith("not a database")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    with pytest.raises(InvalidInput, match="another program's database"):
        await SqliteStore.open(tmp_path / "other.db")
    newer = tmp_path / "newer.db"
    await (await SqliteStore.open(newer)).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InvalidInput, match=r"newer offerer \(format 99\)"):
        await SqliteStore.open(newer)
    with pytest.raises(InvalidInput, match="cannot open"):
        await SqliteStore.open(text / "below-a-file.db")
    (tmp_path / "directory").mkdir()
    with pytest.raises(InvalidInput, match="cannot open .*directory"):
        await SqliteStore.open(tmp_path / "directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_a_full_disk_is_one_clear_error_and_writes_go_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this container may not mount: {mounted.stderr.strip()}")
    try:
        store = await SqliteStore.open(disk / "store.db")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(500_000))
        await store.transact([Put("a", b"before")])
        with pytest.raises(Unavailable, match="the disk of .*store.db is full; nothing was written; make room"):
            for i in range(100):
                await store.transact([Put("big", bytes([i]) * 50_000)])
        entry = await store.get("a")
        assert entry is not None and entry.value == b"before"
        ballast.unlink()
        await store.transact([Put("a", b"after")])
        await store.close()
        store = await SqliteStore.open(disk / "store.db")
        entry = await store.get("a")
        assert entry is not None and entry.value == b"after"
        await store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
