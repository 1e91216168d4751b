"""The store of a master, seen through gRPC by a framework in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc.aio

from offerer.errors import Unavailable
from offerer.store.limits import check_key, check_transaction
from offerer.store.protocol import Change, Compare, Delete, Entry, Put
from offerer.wire import codec, rpc_errors

operator = codec.operator


class RemoteStore:
    """`offerer.Store` over a channel to the master. Keys here are those of the master's store without `prefix`."""

    def __init__(self, channel: grpc.aio.Channel, prefix: str) -> None:
        self._stub = codec.StoreStub(channel)
        self._prefix = prefix

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, or None."""
        check_key(key)
        entries, _ = await self._range(operator.RangeRequest(prefix=self._prefix + key, exact=True))
        return entries[0] if entries else None

    async def range(self, prefix: str) -> tuple[list[Entry], int]:
        """All entries whose key starts with `prefix`, by key, and the store's revision they were read at."""
        return await self._range(operator.RangeRequest(prefix=self._prefix + prefix))

    async def transact(self, changes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        """Make all changes at one revision, durably, and return it. Raises `Conflict` where a comparison fails."""
        check_transaction(changes, compares)
        request = operator.TransactRequest(
            changes=[
                operator.StoreEntry(key=self._prefix + each.key, value=each.value if isinstance(each, Put) else None)
                for each in changes
            ],
            compares=[
                operator.StoreCompare(key=self._prefix + each.key, revision=each.revision) for each in compares
            ],
        )
        with rpc_errors.as_ours():
            response: operator.TransactResponse = await self._stub.Transact(request)
        return response.revision

    async def watch(self, prefix: str, after: int) -> AsyncIterator[list[Change]]:
        """Every change under `prefix` later than revision `after`, in order, in whole revisions, without end.

        Raises `Compacted` where some of these changes are no longer kept.
        """
        with rpc_errors.as_ours():
            call = self._stub.Watch(operator.WatchRequest(prefix=self._prefix + prefix, after=after))
            try:
                async for message in call:
                    yield [
                        Change(self._own(each.key), each.value if each.HasField("value") else None, each.revision)
                        for each in message.changes
                    ]
            finally:
                call.cancel()
        raise Unavailable("store: the master ended the watch")

    async def close(self) -> None:
        """Nothing to let go of: the channel is its owner's."""

    async def _range(self, request: operator.RangeRequest) -> tuple[list[Entry], int]:
        entries: list[Entry] = []
        revision = 0
        with rpc_errors.as_ours():
            async for message in self._stub.Range(request):
                entries += (Entry(self._own(each.key), each.value, each.revision) for each in message.entries)
                revision = message.revision
        return entries, revision

    def _own(self, key: str) -> str:
        return key[len(self._prefix) :]
