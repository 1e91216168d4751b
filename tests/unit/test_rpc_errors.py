"""Errors that cross gRPC: the same class and message on the other side, cut where they are too long for a header."""

from __future__ import annotations

import grpc.aio
import pytest

from offerer.errors import Conflict, InvalidInput, OffererError
from offerer.store.protocol import Put
from offerer.store.remote import RemoteStore
from offerer.wire import codec
from offerer.wire.rpc_errors import abort


class Refuses(codec.StoreServicer):
    def __init__(self, error: OffererError) -> None:
        self._error = error

    async def Transact(
        self, _: object, context: grpc.aio.ServicerContext[object, object]
    ) -> codec.operator.TransactResponse:
        await abort(context, self._error)


async def crossed(error: OffererError) -> OffererError:
    server = grpc.aio.server()
    codec.add_StoreServicer_to_server(Refuses(error), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(OffererError) as caught:
                await RemoteStore(channel, "").transact([Put("key", b"")])
        return caught.value
    finally:
        await server.stop(0)


async def test_an_error_arrives_as_it_was() -> None:
    arrived = await crossed(Conflict("one\ntwo: 错 \udce9".encode(errors="replace").decode()))
    assert type(arrived) is Conflict and str(arrived) == "one\ntwo: 错 ?"


@pytest.mark.parametrize("line", ["core.yaml:3: jobs.web: unknown field", "core.yaml:3: jobs.网: 错错错错错错错错"])
async def test_a_long_one_is_cut_between_lines_and_says_so(line: str) -> None:
    arrived = await crossed(InvalidInput("\n".join([line] * 5000)))
    assert type(arrived) is InvalidInput
    *lines, last = str(arrived).splitlines()
    assert set(lines) == {line} and last == f"and {5000 - len(lines)} more lines"
