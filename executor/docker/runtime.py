"""Runs tasks as containers of a real Docker engine.

The engine is the checkpoint: what is needed to know a task again is in its containers' labels. The engine's events
say at once what ended; whenever that stream breaks, and once in a while, everything is listed and compared, so that
nothing is missed, whatever happens to the engine meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import docker.errors
import docker.types

from executor.docker.client import AWAY, DEFAULT_URL, Clients, our_errors, words
from executor.docker.containers import Containers, starting
from executor.docker.sessions import Sessions
from executor.health import Check
from executor.inspection import REMOVED, adopted, ended, key_of, log_frames, microseconds, redacted
from executor.pool import Pool
from executor.prober import Answered, Prober, ask_network, where_to_ask
from executor.records import (
    Adopted,
    Create,
    Done,
    Event,
    Lost,
    Observed,
    Operation,
    Outcome,
    Progressed,
    Pull,
    Start,
    Task,
    TaskKey,
    Verdict,
)
from executor.retention import DEFAULT_RETENTION, Ended, Retention, expired
from executor.runtime import CommandOptions, Inputs, LogChunk, LogOptions
from executor.secret_files import unused
from executor.spec import (
    CONTAINER,
    FRAMEWORK,
    GROUP,
    TASK,
    Engine,
    Host,
    container_name,
    filters,
    main_parts,
    own_directory,
    parts,
    task_of,
)
from executor.streams import LogReader, Stream, Watcher
from offerer import clock
from offerer.errors import InvalidInput, NotFound, OffererError, Unavailable
from offerer.ids import HostId
from offerer.types import SECOND

_log = logging.getLogger("offerer.executor")

_PULLS: Final = 3  # at a time, beside the other operations: a slow registry must not keep containers from starting
_SESSIONS: Final = 4  # calls for probes and attachments at a time, likewise
_RELIST_EVERY: Final = 60.0
_ENDED_STATES: Final = ("exited", "dead", "removing")
DEFAULT_SECRETS: Final = Path("/run/offerer/secrets")


class DockerRuntime:
    """See the module. `url` is the engine's address, the usual socket where empty."""

    name = "docker"
    creates = True
    durable = True

    def __init__(
        self,
        url: str = "",
        *,
        parallel: int = 8,
        retention: Retention = DEFAULT_RETENTION,
        secrets: Path = DEFAULT_SECRETS,
    ) -> None:
        self._clients = Clients(url or DEFAULT_URL)
        self._parallel = parallel
        self._retention = retention
        self._host = Host(HostId(""))
        self._secrets = secrets
        self._live: dict[str, tuple[TaskKey, str]] = {}  # names of containers that run, as far as we said
        self._pulls: dict[str, list[tuple[TaskKey, Callable[[Outcome], None]]]] = {}
        self._with_gpus: list[Task] = []
        self._relist_timer: asyncio.TimerHandle | None = None
        self._on_event: Callable[[Event], None]
        self._loop: asyncio.AbstractEventLoop
        self._pool: Pool
        self._pull_pool: Pool
        self._session_pool: Pool
        self._sessions: Sessions
        self._prober: Prober
        self._watcher: Watcher
        self._containers: Containers

    async def open(self, host: Host, on_event: Callable[[Event], None]) -> list[Adopted]:
        """Connect to the engine and find this host's containers. Raises `Unavailable` where no engine answers."""
        self._host, self._on_event = host, on_event
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._parallel, "docker")
        self._pull_pool = Pool(_PULLS, "docker-pull")
        self._session_pool = Pool(_SESSIONS, "docker-session")
        self._sessions = Sessions(self._clients, self._session_pool)
        self._prober = Prober()
        try:
            found = await self._find_all()
        except (docker.errors.DockerException, *AWAY) as error:
            await self._close_pools()
            raise Unavailable(
                f"no Docker engine answers at {self._clients.url} ({words(error)}): start one, "
                "name another with --docker-host, or run without with --runtime process"
            ) from None
        for each in found:
            if each.task.observed is Observed.RUNNING:
                self._live |= self._names(each.task)
            if each.task.gpus:
                self._with_gpus.append(each.task)
        self._watcher = Watcher(self._events, self._relist, self._on_engine_event)
        self._watcher.start()
        self._relist_later()
        return found

    async def _find_all(self) -> list[Adopted]:
        information = await self._pool.run(lambda: self._clients.get().info())
        secrets = self._secrets / own_directory(self._host)
        engine = Engine(information["NCPU"], information["LoggingDriver"], str(secrets))
        self._containers = Containers(self._clients, self._host, engine)
        by_task: dict[TaskKey, list[str]] = {}
        for each in await self._pool.run(self._list):
            by_task.setdefault(key_of(each["Labels"]), []).append(each["Id"])
        found = await asyncio.gather(*(self._pool.run(partial(self._adopt, each)) for each in by_task.values()))
        return [each for each in found if each is not None]

    def submit(self, operation: Operation, done: Done) -> None:
        """Have a thread of the pool carry it out; pulls of one image are made once for all who wait for it."""
        task = operation.task
        if type(operation) is Pull:
            images = dict.fromkeys(part.image for part in parts(task.spec) if part.pull != "never")
            self._pull_all(task, list(images), lambda outcome: done(operation, outcome))
        else:
            if type(operation) is Create and task.resources.gpus and not task.gpus:
                self._choose_gpus(task)
            self._pool.submit(lambda: self._containers.carry_out(operation), partial(self._finish, operation, done))

    def probe(self, check: Check, answered: Answered) -> None:
        """Ask over the network from here, or run a command in the container."""
        task, probe = check.task, check.probe
        if probe.command:
            container = container_name(task.key, self._host, check.container or main_parts(task.spec)[0].name)
            answer = _or_its_error(self._sessions.probe(container, probe.command))
        else:
            answer = ask_network(*where_to_ask(task.spec, probe, _address(task.data)), probe)
        self._prober.ask(probe, answer, answered)

    async def logs(
        self, key: TaskKey, options: LogOptions, container: str = ""
    ) -> AsyncGenerator[LogChunk, None]:
        """The container's output, read by a thread of its own for as long as it takes."""
        found = await self._find(key, container)
        reader = LogReader(lambda: self._log_stream(found, options))
        async with contextlib.aclosing(reader.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    async def inspect(self, key: TaskKey, container: str = "") -> bytes:
        """The engine's own description, without what is secret."""
        found = await self._find(key, container)
        return json.dumps(redacted(await self._ask(lambda: self._clients.get().inspect_container(found)))).encode()

    async def run(
        self, key: TaskKey, container: str, options: CommandOptions, inputs: Inputs
    ) -> AsyncGenerator[LogChunk | int, None]:
        """A command in the container; one that is given up runs on, without input."""
        found = await self._find(key, container)
        async with contextlib.aclosing(self._sessions.run(found, options, inputs)) as items:
            async for item in items:
                yield item

    async def copy_from(self, key: TaskKey, container: str, path: str) -> AsyncGenerator[LogChunk, None]:
        """By the engine, so that the container needs no tar; also of one that has ended."""
        found = await self._find(key, container)
        async with contextlib.aclosing(self._sessions.copy_from(found, path)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def copy_into(self, key: TaskKey, container: str, path: str, inputs: Inputs) -> None:
        """The same in the other direction."""
        await self._sessions.copy_into(await self._find(key, container), path, inputs)

    async def usage(self, key: TaskKey, container: str) -> bytes:
        """The engine's figures."""
        return await self._sessions.usage(await self._find(key, container))

    async def sweep(self, held: Callable[[], Collection[TaskKey]]) -> set[TaskKey]:
        """Remove ended containers that retention does not keep, and what should not be there at all."""
        with_secrets = await self._ask(self._containers.secrets.present)  # before anything that makes more of them
        listed = await self._ask(self._list)
        kept = held()  # after listing: whatever was listed and is not held now has no one who wants it
        history: dict[TaskKey, list[dict[str, Any]]] = {}
        for each in listed:
            key = key_of(each["Labels"])
            if each["State"] in _ENDED_STATES and key not in kept:
                history.setdefault(key, []).append(each)
            elif key not in kept:
                _log.warning("removing container %s: its task %s of %s ended", _name(each), key[1], key[0])
                await self._ask(partial(self._containers.remove, each["Id"], force=True))
        names = {container_name(key, self._host) for key in kept}
        over = {_name(each) for each in listed if each["State"] in _ENDED_STATES}
        for name in unused(with_secrets, names, over):
            await self._ask(partial(self._containers.secrets.remove, name))
        removed: set[TaskKey] = await self._ask(lambda: self._remove_expired(history))
        return {key_of(each["Labels"]) for each in listed} - removed

    async def close(self) -> None:
        """Leave the engine; the containers run on."""
        if self._relist_timer is not None:
            self._relist_timer.cancel()
        await self._prober.close()
        await asyncio.to_thread(self._watcher.stop)
        await self._close_pools()

    async def _close_pools(self) -> None:
        await self._pool.close()
        await self._pull_pool.close()
        await self._session_pool.close()
        self._clients.close()

    # -- in the event loop ---------------------------------------------------------------------------------------

    def _finish(self, operation: Operation, done: Done, outcome: Outcome) -> None:
        if type(operation) is Start and outcome.verdict is Verdict.DONE:
            self._live |= self._names(operation.task)
        done(operation, outcome)

    def _names(self, task: Task) -> dict[str, tuple[TaskKey, str]]:
        """The containers that run at this point of the task's life."""
        return {self._containers.name(task, part): (task.key, part.name) for part in starting(task)}

    def _emit(self, container: str, event: Event) -> None:
        self._live.pop(container, None)
        self._on_event(event)

    def _pull_all(self, task: Task, images: list[str], then: Callable[[Outcome], None]) -> None:
        """One image after the other; one that others wait for too is pulled once for all of them."""

        def pulled(outcome: Outcome) -> None:
            if outcome.verdict is Verdict.DONE and len(images) > 1:
                self._pull_all(task, images[1:], then)
            else:
                then(outcome)

        image = images[0]
        waiting = self._pulls.setdefault(image, [])
        waiting.append((task.key, pulled))
        if len(waiting) == 1:
            always = any(part.image == image and part.pull == "always" for part in parts(task.spec))

            def tell(message: str) -> None:
                self._loop.call_soon_threadsafe(self._on_progress, image, message)

            work = partial(self._containers.pull, image, always=always, tell=tell)
            self._pull_pool.submit(work, partial(self._on_pulled, image))

    def _on_pulled(self, image: str, outcome: Outcome) -> None:
        for _, then in self._pulls.pop(image):
            then(outcome)

    def _on_progress(self, image: str, message: str) -> None:
        for key, _ in self._pulls.get(image, ()):
            self._on_event(Progressed(key, message))

    def _choose_gpus(self, task: Task) -> None:
        """The first ones that no task has; the engine, told only how many, would give all tasks the same."""
        self._with_gpus = [each for each in self._with_gpus if each.observed is not Observed.ENDED]
        taken = {gpu for each in self._with_gpus for gpu in each.gpus}
        free = (gpu for gpu in itertools.count() if gpu not in taken)
        task.gpus = tuple(itertools.islice(free, task.resources.gpus))
        self._with_gpus.append(task)

    def _relist_later(self) -> None:
        def again() -> None:
            self._pool.submit(self._relist_quietly, lambda _: None)
            self._relist_later()

        self._relist_timer = self._loop.call_later(_RELIST_EVERY, again)

    async def _find(self, key: TaskKey, container: str = "") -> str:
        """The container of this name in the task; the first one that is no init step where empty."""
        wanted = [*filters(self._host), f"{FRAMEWORK}={key[0]}", f"{TASK}={key[1]}"]
        found = await self._ask(lambda: self._clients.get().containers(all=True, filters={"label": wanted}))
        if not found:
            raise NotFound(f"task {key[1]} of {key[0]} has no container on this host, or it was removed since")
        named: dict[str, str] = {each["Labels"].get(CONTAINER, ""): each["Id"] for each in found}
        name = container or main_parts(task_of(found[0]["Labels"]).spec)[0].name
        if name not in named:
            there = ", ".join(sorted(filter(None, named))) or "only one, without a name"
            raise NotFound(f"task {key[1]} of {key[0]} has no container {name!r}; there are: {there}")
        return named[name]

    async def _ask(self, work: Callable[[], Any]) -> Any:
        """Have a thread ask the engine. Raises `NotFound` or `Unavailable`."""
        with our_errors():
            return await self._pool.run(work)

    # -- in threads ----------------------------------------------------------------------------------------------

    def _remove_expired(self, history: Mapping[TaskKey, list[dict[str, Any]]]) -> set[TaskKey]:
        client = self._clients.get()
        dated = []
        for key, containers in history.items():
            at = max(each["Created"] for each in containers) * SECOND
            if at < clock.now() - self._retention.keep_for:  # made long ago, but when did it end?
                described = [client.inspect_container(each["Id"]) for each in containers]
                at = max(at, *(microseconds(each["State"]["FinishedAt"]) for each in described))
            dated.append(Ended("", key, containers[0]["Labels"].get(GROUP, ""), at))
        gone = {each.key for each in expired(dated, self._retention, clock.now())}
        for key in gone:
            for each in history[key]:
                self._containers.remove(each["Id"])
        return gone

    # -- what the engine says, in threads too ------------------------------------------------------------------------

    def _events(self) -> Stream[dict[str, Any]]:
        wanted = {"type": "container", "event": ["die", "destroy"], "label": filters(self._host)}
        since = int(time.time()) - 1  # from a moment ago: the engine says that it listens before it does
        with our_errors():
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
        with our_errors():
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

    def _adopt(self, containers: list[str]) -> Adopted | None:
        inspected = []
        for each in containers:
            with contextlib.suppress(docker.errors.NotFound):  # removed meanwhile
                inspected.append(self._clients.get().inspect_container(each))
        try:
            return adopted(inspected, self._containers.data) if inspected else None
        except InvalidInput as error:
            _log.warning("container %s is not adopted: %s", containers[0][:12], error)
            return None

    def _on_engine_event(self, event: dict[str, Any]) -> None:
        labels = event["Actor"]["Attributes"]
        name, key, container = labels["name"], key_of(labels), labels.get(CONTAINER, "")
        if event["Action"] == "destroy":
            self._tell(name, Lost(key, REMOVED, container))
        else:
            self._look(name, key, container)

    def _relist(self) -> None:
        """Compare what the engine has with what we believe runs."""
        believed = dict(self._live)  # before listing: what starts after it is not missed, but not listed either
        with our_errors():
            states = {_name(each): each["State"] for each in self._list()}
        for name, (key, container) in believed.items():
            if name not in states:
                self._tell(name, Lost(key, REMOVED, container))
            elif states[name] in _ENDED_STATES:
                self._look(name, key, container)

    def _relist_quietly(self) -> None:
        with contextlib.suppress(OffererError):  # the watcher complains, and lists when the engine is back
            self._relist()

    def _look(self, name: str, key: TaskKey, container: str) -> None:
        """See how a container ended, if it did."""
        event: Event | None
        try:
            with our_errors():
                inspected = self._clients.get().inspect_container(name)
                event = ended(inspected, self._containers.data(inspected))
        except NotFound:
            event = Lost(key, REMOVED, container)
        if event is not None:
            self._tell(name, event)

    def _tell(self, name: str, event: Event) -> None:
        self._containers.secrets.remove(name)
        self._loop.call_soon_threadsafe(self._emit, name, event)


def _name(listed: Mapping[str, Any]) -> str:
    """The name of a container, from the engine's list."""
    name: str = listed["Names"][0]
    return name.removeprefix("/")


async def _or_its_error(answer: Awaitable[str]) -> str:
    """A probe that cannot be carried out has failed."""
    try:
        return await answer
    except OffererError as error:
        return str(error)


def _address(data: bytes) -> str:
    """The address of a container, from the data of its status."""
    address: str = json.loads(data or b"{}").get("ip", "")
    return address
