"""Runs tasks as containers of a real Docker engine. The only module that imports the Docker SDK.

The engine is the checkpoint: what is needed to know a task again is in its container's labels. The engine's events
say at once what ended; whenever that stream breaks, and once in a while, everything is listed and compared, so that
nothing is missed, whatever happens to the engine meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from functools import lru_cache, partial
from typing import Any, Final

import docker
import docker.constants
import docker.errors
import docker.types
import requests

from executor.inspection import REMOVED, adopted, ended, key_of, log_frames, microseconds, status_data
from executor.pool import Pool
from executor.records import (
    DONE,
    Adopted,
    Create,
    Done,
    Event,
    Lost,
    Observed,
    Operation,
    Outcome,
    Pull,
    Remove,
    Signal,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.retention import DEFAULT_RETENTION, Ended, Retention, expired
from executor.runtime import LogChunk, LogOptions
from executor.spec import FRAMEWORK, GROUP, SPEC, TASK, Host, container_name, create_arguments, filters
from executor.streams import LogReader, Stream, Watcher
from offerer import clock
from offerer.errors import InvalidInput, InvalidSpec, NotFound, OffererError, Unavailable
from offerer.ids import HostId
from offerer.types import SECOND, Reason

_log = logging.getLogger("offerer.executor")

DEFAULT_URL: Final = "unix:///var/run/docker.sock"
_PULLS: Final = 3  # at a time, beside the other operations: a slow registry must not keep containers from starting
_RELIST_EVERY: Final = 60.0
_ENDED_STATES: Final = ("exited", "dead", "removing")
_AWAY: Final = (requests.exceptions.RequestException, OSError)


def engine_answers(url: str = "") -> bool:
    """Whether a Docker engine answers at this address (the usual socket where empty)."""
    try:
        _Clients(url or DEFAULT_URL).make(timeout=3).close()
    except (docker.errors.DockerException, OSError):
        return False
    return True


class DockerRuntime:
    """See the module. `url` is the engine's address, the usual socket where empty."""

    name = "docker"
    creates = True
    durable = True

    def __init__(self, url: str = "", *, parallel: int = 8, retention: Retention = DEFAULT_RETENTION) -> None:
        self._clients = _Clients(url or DEFAULT_URL)
        self._parallel = parallel
        self._retention = retention
        self._host = Host(HostId(""))
        self._engine_cpus = 1
        self._live: dict[str, TaskKey] = {}  # containers that run, as far as we said; only the loop changes it
        self._pulls: dict[str, list[tuple[Operation, Done]]] = {}
        self._relist_timer: asyncio.TimerHandle | None = None
        self._on_event: Callable[[Event], None]
        self._loop: asyncio.AbstractEventLoop
        self._pool: Pool
        self._pull_pool: Pool
        self._watcher: Watcher
        self._digest = lru_cache(256)(self._ask_digest)

    async def open(self, host: Host, on_event: Callable[[Event], None]) -> list[Adopted]:
        """Connect to the engine and find this host's containers. Raises `Unavailable` where no engine answers."""
        self._host, self._on_event = host, on_event
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._parallel, "docker")
        self._pull_pool = Pool(_PULLS, "docker-pull")
        try:
            information = await self._pool.run(lambda: self._clients.get().info())
            self._engine_cpus = information["NCPU"]
            listed = await self._pool.run(self._list)
            found = await asyncio.gather(*(self._pool.run(partial(self._adopt, each["Id"])) for each in listed))
        except (docker.errors.DockerException, *_AWAY) as error:
            await self._close_pools()
            raise Unavailable(
                f"no Docker engine answers at {self._clients.url} ({_words(error)}): start one, "
                "name another with --docker-host, or run without with --runtime process"
            ) from None
        result = [each for each in found if each is not None]
        self._live = {each.task.container: each.task.key for each in result if each.task.observed is Observed.RUNNING}
        self._watcher = Watcher(self._events, self._relist, self._on_engine_event)
        self._watcher.start()
        self._relist_later()
        return result

    def submit(self, operation: Operation, done: Done) -> None:
        """Have a thread of the pool carry it out; pulls of one image are made once for all who wait for it."""
        if type(operation) is Pull:
            self._submit_pull(operation, done)
        else:
            self._pool.submit(lambda: self._carry_out(operation), partial(self._finish, operation, done))

    async def logs(self, key: TaskKey, options: LogOptions) -> AsyncGenerator[LogChunk, None]:
        """The container's output, read by a thread of its own for as long as it takes."""
        container = await self._find(key)
        reader = LogReader(lambda: self._log_stream(container, options))
        async with contextlib.aclosing(reader.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    async def inspect(self, key: TaskKey) -> bytes:
        """The engine's own description."""
        container = await self._find(key)
        return json.dumps(await self._ask(lambda: self._clients.get().inspect_container(container))).encode()

    async def sweep(self, held: Callable[[], Collection[TaskKey]]) -> set[TaskKey]:
        """Remove ended containers that retention does not keep, and what should not be there at all."""
        listed = await self._ask(self._list)
        kept = held()  # after listing: whatever was listed and is not held now has no one who wants it
        history = []
        for each in listed:
            key = key_of(each["Labels"])
            if key in kept:
                continue
            if each["State"] in _ENDED_STATES:
                at = each["Created"] * SECOND
                history.append(Ended(each["Id"], key, each["Labels"].get(GROUP, ""), at))
            else:
                _log.warning("removing container %s: its task %s of %s ended", each["Names"][0][1:], key[1], key[0])
                await self._ask(partial(self._remove, each["Id"], force=True))
        removed = {each.key for each in await self._ask(lambda: self._remove_expired(history))}
        return {key_of(each["Labels"]) for each in listed} - removed

    async def close(self) -> None:
        """Leave the engine; the containers run on."""
        if self._relist_timer is not None:
            self._relist_timer.cancel()
        await asyncio.to_thread(self._watcher.stop)
        await self._close_pools()

    async def _close_pools(self) -> None:
        await self._pool.close()
        await self._pull_pool.close()
        self._clients.close()

    # -- in the event loop ---------------------------------------------------------------------------------------

    def _finish(self, operation: Operation, done: Done, outcome: Outcome) -> None:
        if type(operation) is Start and outcome.verdict is Verdict.DONE:
            self._live[operation.task.container] = operation.task.key
        done(operation, outcome)

    def _emit(self, container: str, event: Event) -> None:
        self._live.pop(container, None)
        self._on_event(event)

    def _submit_pull(self, operation: Operation, done: Done) -> None:
        image = operation.task.spec.image
        waiting = self._pulls.setdefault(image, [])
        waiting.append((operation, done))
        if len(waiting) == 1:
            self._pull_pool.submit(lambda: self._pull(image), lambda outcome: self._pulled(image, outcome))

    def _pulled(self, image: str, outcome: Outcome) -> None:
        for operation, done in self._pulls.pop(image):
            done(operation, outcome)

    def _relist_later(self) -> None:
        def again() -> None:
            self._pool.submit(self._relist_quietly, lambda _: None)
            self._relist_later()

        self._relist_timer = self._loop.call_later(_RELIST_EVERY, again)

    async def _find(self, key: TaskKey) -> str:
        wanted = [*filters(self._host), f"{FRAMEWORK}={key[0]}", f"{TASK}={key[1]}"]
        found = await self._ask(lambda: self._clients.get().containers(all=True, filters={"label": wanted}))
        if not found:
            raise NotFound(f"task {key[1]} of {key[0]} has no container on this host, or it was removed since")
        container: str = found[0]["Id"]
        return container

    async def _ask(self, work: Callable[[], Any]) -> Any:
        """Have a thread ask the engine. Raises `NotFound` or `Unavailable`."""
        with _our_errors():
            return await self._pool.run(work)

    # -- in threads: operations ----------------------------------------------------------------------------------

    def _carry_out(self, operation: Operation) -> Outcome:
        task = operation.task
        try:
            if type(operation) is Create:
                return self._create(task)
            if type(operation) is Start:
                return self._start(task)
            if type(operation) is Signal:
                self._signal(task.container, operation.signal)
            elif type(operation) is Remove:
                self._remove(task.container)
            return DONE
        except InvalidSpec as error:
            return Outcome(Verdict.FAILED, Reason.INVALID_SPEC, str(error))
        except docker.errors.APIError as error:
            return Outcome(Verdict.FAILED, Reason.START_FAILED, _words(error))
        except (docker.errors.DockerException, *_AWAY) as error:
            return _away(error)

    def _create(self, task: Task) -> Outcome:
        client = self._clients.get()
        arguments = create_arguments(task, self._host, self._engine_cpus)
        host_config = client.create_host_config(**arguments.pop("host_config"))
        try:
            made = client.create_container(**arguments, host_config=host_config, use_config_proxy=False)
        except docker.errors.ImageNotFound as error:
            return Outcome(Verdict.IMAGE_MISSING, Reason.IMAGE_PULL_FAILED, _words(error))
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            return self._already_created(task, arguments["labels"][SPEC], error)
        return Outcome(container=made["Id"])

    def _already_created(self, task: Task, spec: str, error: docker.errors.APIError) -> Outcome:
        """The name is taken: by this very task, where the answer to an earlier attempt got lost."""
        inspected = self._clients.get().inspect_container(container_name(task.key, self._host))
        ours = inspected["State"]["Status"] == "created" and inspected["Config"]["Labels"].get(SPEC) == spec
        if ours:
            return Outcome(container=inspected["Id"])
        return Outcome(Verdict.FAILED, Reason.START_FAILED, _words(error))

    def _start(self, task: Task) -> Outcome:
        client = self._clients.get()
        client.start(task.container)
        return Outcome(data=self._data(client.inspect_container(task.container)))

    def _signal(self, container: str, name: str) -> None:
        try:
            self._clients.get().kill(container, name)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # it has ended, or is gone: events say so
                raise

    def _remove(self, container: str, *, force: bool = False) -> None:
        try:
            self._clients.get().remove_container(container, v=True, force=force)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # gone, or going
                raise

    def _pull(self, image: str) -> Outcome:
        try:
            for progress in self._clients.get().pull(image, stream=True, decode=True):
                if "error" in progress:
                    return _pull_failed(image, progress["error"])
            return DONE
        except docker.errors.APIError as error:
            return _pull_failed(image, _words(error))
        except (docker.errors.DockerException, *_AWAY) as error:
            return _away(error)

    def _remove_expired(self, history: list[Ended]) -> list[Ended]:
        client = self._clients.get()
        dated = []
        for each in history:
            if each.at < clock.now() - self._retention.keep_for:  # made long ago, but when did it end?
                finished = client.inspect_container(each.handle)["State"]["FinishedAt"]
                each = each._replace(at=max(each.at, microseconds(finished)))
            dated.append(each)
        gone = expired(dated, self._retention, clock.now())
        for each in gone:
            self._remove(each.handle)
        return gone

    # -- in threads: what the engine says ------------------------------------------------------------------------

    def _events(self) -> Stream[dict[str, Any]]:
        wanted = {"type": "container", "event": ["die", "destroy"], "label": filters(self._host)}
        since = int(time.time()) - 1  # from a moment ago: the engine says that it listens before it does
        with _our_errors():
            return self._clients.get().events(decode=True, filters=wanted, since=since)

    def _log_stream(self, container: str, options: LogOptions) -> Stream[LogChunk]:
        """The SDK's own `logs` does not say which output a line is from, so this asks and takes apart itself."""
        wanted = {
            "stdout": True,
            "stderr": True,
            "follow": options.follow,
            "timestamps": options.timestamps,
            "tail": "all" if options.tail is None else options.tail,
        }
        with _our_errors():
            client = self._clients.make()
            url = f"{client.base_url}/v{client.api_version}/containers/{container}/logs"
            response = client.get(url, params=wanted, stream=True, timeout=None)

            def frames() -> Iterator[LogChunk]:
                with contextlib.closing(client), contextlib.closing(response):
                    if response.status_code != 200:
                        raise Unavailable(f"the Docker engine: {response.json().get('message', response.reason)}")
                    yield from log_frames(response.raw.read)

            return docker.types.CancellableStream(frames(), response)

    def _list(self) -> list[dict[str, Any]]:
        """This host's containers, ended ones too, the newest first."""
        listed: list[dict[str, Any]] = self._clients.get().containers(all=True, filters={"label": filters(self._host)})
        return listed

    def _adopt(self, container: str) -> Adopted | None:
        try:
            inspected = self._clients.get().inspect_container(container)
            return adopted(inspected, self._data(inspected))
        except docker.errors.NotFound:
            return None  # removed meanwhile
        except InvalidInput as error:
            _log.warning("container %s is not adopted: %s", container[:12], error)
            return None

    def _on_engine_event(self, event: dict[str, Any]) -> None:
        actor = event["Actor"]
        if event["Action"] == "destroy":
            self._tell(actor["ID"], Lost(key_of(actor["Attributes"]), REMOVED))
        else:
            self._look(actor["ID"], key_of(actor["Attributes"]))

    def _relist(self) -> None:
        """Compare what the engine has with what we believe runs."""
        believed = dict(self._live)  # before listing: what starts after it is not missed, but not listed either
        with _our_errors():
            states = {each["Id"]: each["State"] for each in self._list()}
        for container, key in believed.items():
            if container not in states:
                self._tell(container, Lost(key, REMOVED))
            elif states[container] in _ENDED_STATES:
                self._look(container, key)

    def _relist_quietly(self) -> None:
        with contextlib.suppress(OffererError):  # the watcher complains, and lists when the engine is back
            self._relist()

    def _look(self, container: str, key: TaskKey) -> None:
        """See how a container ended, if it did."""
        event: Event | None
        try:
            with _our_errors():
                inspected = self._clients.get().inspect_container(container)
                event = ended(inspected, self._data(inspected))
        except NotFound:
            event = Lost(key, REMOVED)
        if event is not None:
            self._tell(container, event)

    def _tell(self, container: str, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._emit, container, event)

    def _data(self, inspected: dict[str, Any]) -> bytes:
        return status_data(inspected, self._digest(inspected["Image"]))

    def _ask_digest(self, image: str) -> str:
        try:
            digests = self._clients.get().inspect_image(image)["RepoDigests"]  # type: ignore[no-untyped-call]
        except docker.errors.APIError:
            digests = []  # the image was removed under the container
        return str(digests[0]) if digests else image


class _Clients:
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
def _our_errors() -> Iterator[None]:
    """Raise `NotFound` or `Unavailable` for what the SDK raises."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFound(_words(error)) from None
    except (docker.errors.DockerException, *_AWAY) as error:
        raise Unavailable(f"the Docker engine: {_words(error)}") from None


def _words(error: BaseException) -> str:
    """What the engine, or the way to it, says, without the SDK's wrapping."""
    if isinstance(error, docker.errors.APIError):
        return str(error.explanation or error)
    cause: BaseException = error
    while cause.__context__ is not None or cause.__cause__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    return (cause.strerror or str(cause)) if isinstance(cause, OSError) else str(cause)


def _away(error: BaseException) -> Outcome:
    return Outcome(Verdict.AWAY, message=f"the Docker engine does not answer ({_words(error)}); trying on")


def _pull_failed(image: str, words: str) -> Outcome:
    return Outcome(Verdict.FAILED, Reason.IMAGE_PULL_FAILED, f"cannot pull image {image}: {words}")
