"""Errors across gRPC: `offerer.errors` on one side, the same class and message on the other.

The status code says roughly what happened, for other people's tools; the class name travels in the trailing
metadata, so that a `Conflict` of the master is a `Conflict` here, and not mixed up with a failure of gRPC itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Final, NoReturn

import grpc
import grpc.aio

from offerer import errors

_HEADER: Final = "offerer-error"
_MESSAGE_LIMIT: Final = 6000  # bytes as sent: a status travels in HTTP/2 headers, of which 8 KiB are allowed

_CODES: Final[dict[type[errors.OffererError], grpc.StatusCode]] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidSpec: grpc.StatusCode.INVALID_ARGUMENT,
    errors.IllegalTransition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PeerError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Compacted: grpc.StatusCode.OUT_OF_RANGE,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Replaced: grpc.StatusCode.ALREADY_EXISTS,
    errors.OffererError: grpc.StatusCode.UNKNOWN,
}
_CLASSES: Final = {kind.__name__: kind for kind in _CODES}


class NoAnswer(errors.Unavailable):
    """Nobody answered the call: no connection, or it broke. (`Unavailable` from afar is an answer.)"""


async def abort(context: grpc.aio.ServicerContext[object, object], error: errors.OffererError) -> NoReturn:
    """End this call of a servicer with `error`."""
    kind = next(kind for kind in type(error).__mro__ if kind in _CODES)
    await context.abort(_CODES[kind], _cut(str(error)), ((_HEADER, kind.__name__),))
    raise AssertionError("abort returned")  # it always raises; its types do not say so


def _cut(message: str) -> str:
    """The message, or as many of its lines as are allowed and how many more there are."""
    sent = accumulate(_bytes_sent(character) for character in message)
    end = next((i for i, size in enumerate(sent) if size > _MESSAGE_LIMIT), None)
    if end is None:
        return message
    whole, newline, _ = message[:end].rpartition("\n")
    if not newline:
        return f"{message[:end]}…"
    return f"{whole}\nand {message.count(newline, len(whole))} more lines"


def _bytes_sent(character: str) -> int:
    """What is not printable ASCII is sent as %XX, byte by byte."""
    if " " <= character <= "~" and character != "%":
        return 1
    return 3 * len(character.encode(errors="replace"))


def is_cancelled() -> bool:
    """Within ``except CancelledError``: whether the running task is to end, and not only the call it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextmanager
def as_ours() -> Iterator[None]:
    """A block of calls whose failures are raised as errors of ours, also where their channel is closed under them."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from None
    except grpc.aio.UsageError:
        raise NoAnswer("the connection was closed") from None
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise NoAnswer("the connection was closed") from None


def error_named(name: str, message: str) -> errors.OffererError:
    """The error of this class name, as in ``CallResult.error``; plain `OffererError` for a name we do not know."""
    return _CLASSES.get(name, errors.OffererError)(message)


def from_rpc(error: grpc.RpcError) -> errors.OffererError:
    """What a failed call says, as one of ours: `NoAnswer` where it failed on the way."""
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        return NoAnswer(str(error))
    code, details = error.code(), error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == _HEADER:
            return error_named(str(value), details)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return NoAnswer(details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.Unavailable("no answer in time")
    return errors.OffererError(f"{code.name.lower().replace('_', ' ') if code else 'failed'}: {details}")
