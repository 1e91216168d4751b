"""The store in one SQLite file: for one master, without set-up.

One thread writes, another reads, so the event loop never waits for the disk. Transactions that wait while the disk
syncs share the next commit (group commit): each is still durable, by itself, before its caller hears of it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from offerer.errors import Compacted, Conflict, InvalidInput, OffererError, Unavailable
from offerer.store.limits import check_key, check_transaction
from offerer.store.protocol import Change, Compare, Delete, Entry, Put

T = TypeVar("T")

KEPT_CHANGES: Final = 100_000
"""How many changes a watch can go back, by default."""

_APPLICATION_ID: Final = 0x0FFE7E72  # in the file's header, tells our files from other people's databases
_SCHEMA_VERSION: Final = 1
_BATCH: Final = 1000  # transactions of one commit; changes of one read
_SCHEMA: Final = """
    CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE changes (revision INTEGER, key TEXT, value BLOB, PRIMARY KEY (revision, key)) WITHOUT ROWID;
    CREATE TABLE meta (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
    INSERT INTO meta VALUES (0, 0);
"""


class _Transaction(NamedTuple):
    changes: Sequence[Put | Delete]
    compares: Sequence[Compare]
    done: asyncio.Future[int]


class SqliteStore:
    """`offerer.Store` on a SQLite file, which it holds for itself until `close`."""

    def __init__(self, path: Path, lock: int, writer: _Writer, reader: sqlite3.Connection) -> None:
        self._path = path
        self._lock = lock
        self._reader = reader
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._writer = writer
        self._queue: queue.SimpleQueue[_Transaction | None] = queue.SimpleQueue()
        self._write_thread = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._write_thread.start()
        self._watchers: dict[object, tuple[str, asyncio.Event]] = {}
        self._closed = False

    @classmethod
    async def open(cls, path: str | Path, kept_changes: int = KEPT_CHANGES) -> SqliteStore:
        """Open the file, or make it. Raises `InvalidInput` where it is something else, `Unavailable` where it is held.

        Of the changes, the newest `kept_changes` at least are kept for watches.
        """
        return await asyncio.to_thread(cls._open, Path(path), kept_changes)

    @classmethod
    def _open(cls, path: Path, kept_changes: int) -> SqliteStore:
        lock = _lock(path)
        try:
            connection = _connect(path)
            try:
                _prepare(connection, path)
                return cls(path, lock, _Writer(connection, kept_changes), _connect(path))
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            os.close(lock)
            raise _explain(path, error) from None
        except BaseException:
            os.close(lock)
            raise

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, or None."""
        check_key(key)
        rows = await self._read(lambda db: db.execute("SELECT * FROM entries WHERE key = ?", (key,)).fetchall())
        return Entry(*rows[0]) if rows else None

    async def range(self, prefix: str) -> tuple[list[Entry], int]:
        """All entries whose key starts with `prefix`, by key, and the store's revision they were read at."""
        where, bounds = _starts_with(prefix)

        def read(db: sqlite3.Connection) -> tuple[list[Entry], int]:
            db.execute("BEGIN")  # one snapshot for both
            try:
                rows = db.execute(f"SELECT * FROM entries WHERE {where} ORDER BY key", bounds).fetchall()
                (revision,) = db.execute("SELECT revision FROM meta").fetchone()
            finally:
                db.execute("COMMIT")
            return [Entry(*row) for row in rows], revision

        return await self._read(read)

    async def transact(self, changes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        """Make all changes at one revision, durably, and return it. Raises `Conflict` where a comparison fails."""
        check_transaction(changes, compares)
        self._check_open()
        transaction = _Transaction(tuple(changes), tuple(compares), asyncio.get_running_loop().create_future())
        self._queue.put(transaction)
        return await transaction.done

    async def watch(self, prefix: str, after: int) -> AsyncIterator[list[Change]]:
        """Every change under `prefix` later than revision `after`, in order, in whole revisions, without end.

        Raises `Compacted` where some of these changes are no longer kept.
        """
        # A watcher only remembers where it is; the changes wait on disk, so a slow watcher costs no memory.
        changed = asyncio.Event()
        me = object()
        self._watchers[me] = (prefix, changed)
        try:
            while True:
                changed.clear()
                changes, after = await self._changes(prefix, after)
                if changes:
                    yield changes
                else:
                    await changed.wait()
        finally:
            del self._watchers[me]

    async def close(self) -> None:
        """Finish what is under way and let go of the file. Watches end with `Unavailable`."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._write_thread.join)
        await asyncio.to_thread(self._read_thread.shutdown)
        self._wake(None)
        self._reader.close()
        self._writer.connection.close()
        os.close(self._lock)

    # -- reading ----------------------------------------------------------------------------------------------

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._read_thread, query, self._reader)
        except sqlite3.Error as error:
            raise _explain(self._path, error) from None

    async def _changes(self, prefix: str, after: int) -> tuple[list[Change], int]:
        """The next changes under `prefix` after that revision, and the revision up to which that is all."""
        where, bounds = _starts_with(prefix)

        def read(db: sqlite3.Connection) -> tuple[list[Change], int]:
            db.execute("BEGIN")
            try:
                revision, compacted = db.execute("SELECT revision, compacted FROM meta").fetchone()
                if not compacted <= after <= revision:
                    raise Compacted(
                        f"store: the changes after revision {after} are not kept, only those after {compacted} "
                        f"up to {revision}; read everything again, then watch from there"
                    )
                later = f"FROM changes WHERE revision > ? AND {where} ORDER BY revision"
                last = db.execute(f"SELECT revision {later} LIMIT 1 OFFSET ?", (after, *bounds, _BATCH)).fetchone()
                upto = last[0] if last else revision
                rows = db.execute(
                    f"SELECT key, value, revision FROM changes WHERE revision > ? AND revision <= ? AND {where} "
                    "ORDER BY revision, key",
                    (after, upto, *bounds),
                ).fetchall()
            finally:
                db.execute("COMMIT")
            return [Change(*row) for row in rows], upto

        return await self._read(read)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"store: {self._path} is closed")

    # -- writing ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """The thread that writes: everything that waits, up to a limit, in one commit."""
        while (first := self._queue.get()) is not None:
            batch, last = [first], False
            while len(batch) < _BATCH and not self._queue.empty() and not last:
                more = self._queue.get()
                if more is None:
                    last = True
                else:
                    batch.append(more)
            try:
                results: list[int | OffererError] = self._writer.commit(batch)
            except Exception as error:  # whatever it is: no caller may wait for ever
                results = [_explain(self._path, error)] * len(batch)
            try:
                first.done.get_loop().call_soon_threadsafe(self._finish, batch, results)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            if last:
                return

    def _finish(self, batch: Sequence[_Transaction], results: Sequence[int | OffererError]) -> None:
        changed: set[str] = set()
        for transaction, result in zip(batch, results, strict=True):
            if isinstance(result, int):
                changed.update(change.key for change in transaction.changes)
            if transaction.done.done():
                continue  # its caller was cancelled
            if isinstance(result, int):
                transaction.done.set_result(result)
            else:
                transaction.done.set_exception(result)
        self._wake(changed)

    def _wake(self, keys: set[str] | None) -> None:
        for prefix, changed in self._watchers.values():
            if keys is None or any(key.startswith(prefix) for key in keys):
                changed.set()


class _Writer:
    """The side of the file that writes. Lives in the writing thread."""

    def __init__(self, connection: sqlite3.Connection, kept_changes: int) -> None:
        self.connection = connection
        self._kept_changes = kept_changes
        self._revision: int = connection.execute("SELECT revision FROM meta").fetchone()[0]
        self._logged: int = connection.execute("SELECT count(*) FROM changes").fetchone()[0]

    def commit(self, batch: Sequence[_Transaction]) -> list[int | OffererError]:
        """Carry out every transaction whose comparisons hold, in one commit: its revision, or why not.

        Raises `sqlite3.Error` where the commit failed; then nothing was changed.
        """
        before = self._revision, self._logged
        db = self.connection
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [self._apply(transaction) for transaction in batch]
            db.execute("UPDATE meta SET revision = ?", (self._revision,))
            if self._logged > self._kept_changes + self._kept_changes // 10:
                self._compact()
            db.execute("COMMIT")
        except BaseException:
            self._revision, self._logged = before
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return results

    def _apply(self, transaction: _Transaction) -> int | OffererError:
        db = self.connection
        for key, revision in transaction.compares:
            found = db.execute("SELECT revision FROM entries WHERE key = ?", (key,)).fetchone()
            if (found[0] if found else 0) != revision:
                now = f"was last changed at revision {found[0]}" if found else "does not exist"
                wanted = f"expected revision {revision}" if revision else "expected not to exist"
                return Conflict(f"store: {key!r} {now}, {wanted}; read it again")
        if not transaction.changes:
            return self._revision
        self._revision += 1
        final = {change.key: change for change in transaction.changes}  # of two changes of one key the later holds
        puts = [(each.key, each.value, self._revision) for each in final.values() if isinstance(each, Put)]
        deletes = [(each.key,) for each in final.values() if isinstance(each, Delete)]
        db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", puts)
        db.executemany("DELETE FROM entries WHERE key = ?", deletes)
        db.executemany(
            "INSERT INTO changes VALUES (?, ?, ?)",
            [(self._revision, each.key, each.value if isinstance(each, Put) else None) for each in final.values()],
        )
        self._logged += len(final)
        return self._revision

    def _compact(self) -> None:
        """Drop the oldest changes, by whole revisions, so that at least the newest `kept_changes` remain."""
        db = self.connection
        (oldest_kept,) = db.execute(
            "SELECT revision FROM changes ORDER BY revision DESC LIMIT 1 OFFSET ?", (self._kept_changes - 1,)
        ).fetchone()
        self._logged -= db.execute("DELETE FROM changes WHERE revision < ?", (oldest_kept,)).rowcount
        db.execute("UPDATE meta SET compacted = ?", (oldest_kept - 1,))


# -- the file -------------------------------------------------------------------------------------------------


def _lock(path: Path) -> int:
    """Hold ``PATH.lock`` as long as this process lives, or raise. SQLite's own locks last only for a transaction."""
    name = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{error.strerror}; name a file in a directory of yours"
        raise InvalidInput(f"store: cannot open {path}: {why}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        raise Unavailable(
            f"store: {path} is in use by another master (process {holder or 'unknown'}); stop it or name another file"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make our tables in a new file; raise `InvalidInput` for a file that is not ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == _APPLICATION_ID:
        if version != _SCHEMA_VERSION:
            raise InvalidInput(f"store: {path} was written by a newer offerer (format {version}); use that one")
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise InvalidInput(f"store: {path} is another program's database; name another file")
    connection.executescript(
        f"BEGIN; {_SCHEMA}"
        f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
    )


def _explain(path: Path, error: Exception) -> OffererError:
    """What SQLite says, for the operator."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
    if code == sqlite3.SQLITE_NOTADB:
        return InvalidInput(f"store: {path} is not a SQLite database; name another file")
    if code == sqlite3.SQLITE_CANTOPEN:
        return InvalidInput(f"store: cannot open {path}; name a file in a directory of yours")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(f"store: the disk of {path} is full; nothing was written; make room and try again")
    if code == sqlite3.SQLITE_BUSY:
        return Unavailable(f"store: {path} is locked by another process; end it and try again")
    if code == sqlite3.SQLITE_CORRUPT:
        return Unavailable(f"store: {path} is damaged ({error}); put a backup in its place")
    return Unavailable(f"store: {path}: {error}; nothing was written")


# -- keys -----------------------------------------------------------------------------------------------------


def _starts_with(prefix: str) -> tuple[str, tuple[str, ...]]:
    """The condition that a key starts with `prefix`, as a range of the index, and its parameters."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return "key >= ?", (prefix,)
    following = ord(head[-1]) + 1
    if 0xD800 <= following <= 0xDFFF:  # surrogates are no characters
        following = 0xE000
    return "key >= ? AND key < ?", (prefix, head[:-1] + chr(following))
