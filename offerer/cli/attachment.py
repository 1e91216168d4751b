"""One attachment to a container of a task, from the side of the command line: input goes out, output comes in."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from offerer.cli.common import Session

if TYPE_CHECKING:
    from offerer.wire import codec

CODING: Final = "coding"
_AHEAD: Final = 16


def task_id_of(session: Session, framework: str, task: str) -> str:
    """The id of the task of this name, SERVICE/JOB[/TASK]; an id is one already. Raises `NotFound`."""
    if framework != CODING or "." in task:  # a task id has dots, the name of a task has none
        return task
    return str(session.call(CODING, "task", {"target": task})["task_id"])


class Attachment:
    """Opens with the request, which says what is wanted. Inputs may come from another thread."""

    def __init__(self, session: Session, request: codec.operator.AttachRequest) -> None:
        self._session = session
        self._requests: queue.Queue[codec.operator.AttachRequest | None] = queue.Queue(_AHEAD)
        self._requests.put(request)

    def answers(self) -> Iterator[codec.operator.AttachResponse]:
        """What comes, until the end. Raises `OffererError`."""
        with self._session.rpc_errors():
            call = self._session.operator.Attach(iter(self._requests.get, None))
            try:
                yield from call
            finally:
                call.cancel()
                self.close()

    def send(self, data: bytes = b"", *, end: bool = False, rows: int = 0, columns: int = 0) -> None:
        """Send input, its end, or the size of the terminal; waits where the other side does not keep up."""
        from offerer.wire import codec

        given = codec.executor.ToAttachment(input=data, end_of_input=end)
        if rows:
            given.size.rows, given.size.columns = rows, columns
        self._requests.put(codec.operator.AttachRequest(input=given))

    def close(self) -> None:
        """There is nothing more to send, whatever still waits."""
        while True:
            try:
                return self._requests.put_nowait(None)
            except queue.Full:
                self._requests.get()
