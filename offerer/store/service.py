"""The master's side of the store over gRPC, for frameworks in processes of their own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

import grpc.aio

from offerer.errors import OffererError
from offerer.store.protocol import Change, Compare, Delete, Entry, Put, Store
from offerer.wire import codec, rpc_errors

_CHUNK: Final = 1 << 20  # characters of keys and bytes of values

operator = codec.operator


class StoreService(codec.StoreServicer):
    """Serves a `Store` as it is; the caller's `RemoteStore` puts its own prefix before every key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def Range(
        self, request: operator.RangeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[operator.RangeResponse]:
        """All entries under a prefix, or the one of a key, read at once, sent in parts."""
        try:
            if request.exact:
                entry = await self._store.get(request.prefix)
                entries, revision = [entry] if entry else [], 0
            else:
                entries, revision = await self._store.range(request.prefix)
        except OffererError as error:
            await rpc_errors.abort(context, error)
        for part in _parts(entries):
            yield operator.RangeResponse(entries=map(_entry, part), revision=revision)
        if not entries:
            yield operator.RangeResponse(revision=revision)

    async def Transact(
        self, request: operator.TransactRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> operator.TransactResponse:
        """Make the changes if the comparisons hold."""
        changes = [
            Put(each.key, each.value) if each.HasField("value") else Delete(each.key) for each in request.changes
        ]
        compares = [Compare(each.key, each.revision) for each in request.compares]
        try:
            return operator.TransactResponse(revision=await self._store.transact(changes, compares))
        except OffererError as error:
            await rpc_errors.abort(context, error)

    async def Watch(
        self, request: operator.WatchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[operator.Changes]:
        """Changes under a prefix, until the caller leaves. A message never ends within a revision."""
        try:
            async for changes in self._store.watch(request.prefix, request.after):
                for part in _parts(changes):
                    yield operator.Changes(changes=map(_entry, part))
        except OffererError as error:
            await rpc_errors.abort(context, error)


def _entry(each: Entry | Change) -> operator.StoreEntry:
    return operator.StoreEntry(key=each.key, value=each.value, revision=each.revision)


def _parts(entries: Iterable[Entry | Change]) -> Iterator[Sequence[Entry | Change]]:
    """Split before a message gets too big, but only between revisions: a watcher resumes after the last it has seen."""
    part: list[Entry | Change] = []
    size = 0
    for _, group in itertools.groupby(entries, key=lambda each: each.revision):
        revision = list(group)
        more = sum(len(each.key) + len(each.value or b"") for each in revision)
        if part and size + more > _CHUNK:
            yield part
            part, size = [], 0
        part += revision
        size += more
    if part:
        yield part
