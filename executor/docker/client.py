"""The way to the engine: connections, one per thread, and its errors in our words."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final

import docker
import docker.constants
import docker.errors
import requests

from executor.records import Outcome, Verdict
from offerer.errors import NotFound, Unavailable

DEFAULT_URL: Final = "unix:///var/run/docker.sock"
AWAY: Final = (requests.exceptions.RequestException, OSError)
"""What the SDK lets through where the engine does not answer, beside its own DockerException."""


def engine_answers(url: str = "") -> bool:
    """Whether a Docker engine answers at this address (the usual socket where empty)."""
    try:
        Clients(url or DEFAULT_URL).make(timeout=3).close()
    except (docker.errors.DockerException, OSError):
        return False
    return True


class Clients:
    """One connection to the engine per thread: the SDK's are not made to be shared."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._local = threading.local()
        self._all: list[docker.APIClient] = []
        self._version = "auto"

    def get(self) -> docker.APIClient:
        """This thread's. Raises DockerException or OSError where no engine answers."""
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self.make()
            self._all.append(client)
        return client

    def make(self, timeout: int = docker.constants.DEFAULT_TIMEOUT_SECONDS) -> docker.APIClient:
        """One more, to be closed by the caller. Raises DockerException or OSError where no engine answers."""
        if self.url.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as probe:  # where it cannot connect, the SDK leaks a socket
                probe.connect(self.url.removeprefix("unix://"))
        client = docker.APIClient(self.url, version=self._version, timeout=timeout)
        self._version = client.api_version
        return client

    def close(self) -> None:
        """Close those of all threads."""
        for client in self._all:
            client.close()


@contextlib.contextmanager
def our_errors() -> Iterator[None]:
    """Raise `NotFound` or `Unavailable` for what the SDK raises."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFound(words(error)) from None
    except (docker.errors.DockerException, *AWAY) as error:
        raise Unavailable(f"the Docker engine: {words(error)}") from None


def words(error: BaseException) -> str:
    """What the engine, or the way to it, says, without the SDK's wrapping."""
    if isinstance(error, docker.errors.APIError):
        return str(error.explanation or error)
    cause: BaseException = error
    while cause.__context__ is not None or cause.__cause__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    return (cause.strerror or str(cause)) if isinstance(cause, OSError) else str(cause)


def away(error: BaseException) -> Outcome:
    """The outcome of an operation where the engine does not answer."""
    return Outcome(Verdict.AWAY, message=f"the Docker engine does not answer ({words(error)}); trying on")
