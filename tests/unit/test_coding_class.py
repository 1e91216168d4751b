"""`Coding` as the client hosts it: its store, its answers to commands, what it does where the store is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

import frameworks.writer
from frameworks.coding import Coding
from offerer import Conflict, HostId, InvalidInput, NotFound, Put, Resources, TaskId, Time, Unavailable
from tests.coding_cluster import SimCluster, SimHost
from tests.memory_store import MemoryStore
from tests.unit.test_coding_planner import CORE, ONE

Handler = Callable[[str, dict[str, object]], Awaitable[dict[str, object]]]
HOSTS = ("db-1", "db-2", "app-1", "app-2")


class BenchContext:
    """`offerer.Context` for a test."""

    def __init__(self, store: MemoryStore, clock: Callable[[], Time]) -> None:
        self.store, self.now = store, clock
        self.is_ready = asyncio.Event()
        self.believed: dict[TaskId, HostId] = {}
        self.handler: Handler | None = None
        self.woken = False

    def wake(self) -> None:
        self.woken = True

    def ready(self, believed: Mapping[TaskId, HostId] | None = None) -> None:
        self.believed = dict(believed or {})
        self.is_ready.set()

    def on_call(self, handler: Handler) -> None:
        self.handler = handler


class Hosted(SimCluster):
    """A `SimCluster` whose framework is a whole `Coding`, with its own coroutine and a store."""

    def __init__(self, store: MemoryStore, hosts: dict[HostId, SimHost], git: str = "") -> None:
        self.coding, self.kept = Coding(git), store
        self.context = BenchContext(store, lambda: self.now)
        super().__init__([])
        self.hosts = hosts

    def _boot(self) -> None:
        self.state, self.planner = self.coding._state, self.coding._planner
        self.wakes, self.pending = [], []

    def register(self) -> None:
        """The client connects, with the tasks that the plug-in believes in."""
        assert self.context.believed == self.state.believed()
        self._register()

    def flush(self) -> bool:
        """The coroutine does the writing; here its wake-ups are passed on."""
        woken, self.context.woken = self.context.woken, False
        if woken:
            self.carry_out(list(self.coding.on_tick(self.now) or ()))
        return woken

    async def call(self, method: str, **arguments: object) -> dict[str, Any]:
        assert self.context.handler is not None
        answer = await self.context.handler(method, arguments)
        await self.rest()
        decoded: dict[str, Any] = json.loads(json.dumps(answer))
        return decoded

    async def rest(self) -> None:
        """Until neither the cluster nor the coroutine has anything to do."""
        self.coding._noting(None)
        for _ in range(1000):
            moved = self.step()
            self.coding._noting(None)
            for _ in range(8):
                await asyncio.sleep(0)
            if not moved and not self.context.woken and (self.state.journal.empty or not self.kept.available):
                return
        raise AssertionError("it never comes to rest")

    async def push(self, *files: str) -> dict[str, Any]:  # type: ignore[override]
        listed = [{"name": f"file{i}.yaml", "text": text} for i, text in enumerate(files)]
        return await self.call("push", files=listed, who="me", message="because")

    async def tasks(self, **arguments: object) -> dict[str, dict[str, object]]:
        rows = (await self.call("ps", **arguments))["tasks"]
        return {f"{row['service']}/{row['job']}/{row['task']}": row for row in rows}


@asynccontextmanager
async def hosted(
    store: MemoryStore, hosts: dict[HostId, SimHost] | None = None, git: str = ""
) -> AsyncIterator[Hosted]:
    """A `Coding` at work on these hosts, until the end of the block."""
    if hosts is None:
        total = Resources.of(cpus=4, memory="8GiB", ports="31000-32000,3306")
        hosts = {HostId(name): SimHost(name, total) for name in HOSTS}
    bench = Hosted(store, hosts, git)
    serving = asyncio.create_task(bench.coding.serve(bench.context))
    try:
        async with asyncio.timeout(20):
            await bench.context.is_ready.wait()
            bench.register()
            await bench.rest()
            yield bench
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(frameworks.writer, "RETRY", 0.001)
    monkeypatch.setattr(frameworks.writer, "_PATIENCE", 0.05)
    yield


async def until(condition: Callable[[], object], bench: Hosted) -> None:
    """Wait for something that the coroutine does in its own time."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
            await bench.rest()


# -- commands -------------------------------------------------------------------------------------------------


async def test_push_up_ps_down() -> None:
    async with hosted(MemoryStore()) as bench:
        pushed = await bench.push(CORE, ONE)
        rows = [(row["service"], row["revision"], row["changed"]) for row in pushed["services"]]
        assert rows == [("core", 1, True), ("one", 1, True)]
        assert await bench.tasks() == {}
        answer = await bench.call("up", target=["core", "one"])
        assert len(answer["changed"]) == 6
        assert {row["state"] for row in (await bench.tasks()).values()} == {"RUNNING"}
        assert list(await bench.tasks(target="core/web/2")) == ["core/web/2"]
        await bench.call("down", target="core")
        assert list(await bench.tasks()) == ["one/web/1"]


async def test_what_is_asked_is_in_the_store_before_the_answer() -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await bench.push(ONE)
        assert json.loads(store.entries["revisions/one/00000001"].value)["message"] == "because"
        assert bench.context.handler is not None
        await bench.context.handler("up", {"target": "one"})
        assert json.loads(store.entries["tasks/one/web/1"].value)["wanted"] == 1
        assert bench.running() == {}  # the launch comes only after that


async def test_status_tells_how_far_an_update_is() -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(CORE)
        await bench.call("up", target="core")
        await bench.push(CORE.replace("web:1", "web:2"))
        bench.crashes_on_start = lambda _: True
        await bench.call("update", target="core", who="me")
        (row,) = (await bench.call("status"))["services"]
        assert (row["newest_revision"], row["revisions"], row["running"], row["up"]) == (2, [1, 2], 4, 5)
        assert row["update"]["moving"] == "core/web/1"
        assert row["reasons"][0].startswith("FAILED: exit code 1; next attempt in")
        bench.crashes_on_start = lambda _: False
        bench.advance(2)
        await bench.rest()
        (row,) = (await bench.call("status", target="core"))["services"]
        assert (row["update"], row["settled"]) == (None, True)


async def test_status_tells_that_an_update_was_taken_back_until_all_is_at_the_newest_revision() -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(CORE)
        await bench.call("up", target="core")
        await bench.push(CORE.replace("web:1", "web:2"))
        bench.crashes_on_start = lambda _: True
        await bench.call("update", target="core", who="me")
        await bench.call("abort", target="core", who="me")
        bench.crashes_on_start = lambda _: False
        bench.advance(60)
        await bench.rest()
        (row,) = (await bench.call("status", target="core"))["services"]
        assert (row["update"]["outcome"], row["update"]["why"]) == ("rolled back", "aborted by me")
        await bench.call("update", target="core", who="me")
        bench.advance(600)
        await bench.rest()
        (row,) = (await bench.call("status", target="core"))["services"]
        assert row["update"] is None and row["revisions"] == [2]


async def test_history_has_what_ran_and_what_was_pushed() -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(ONE)
        await bench.call("up", target="one")
        bench.now += 5_000_000
        bench.end("one/web/1")
        await bench.rest()
        await bench.push(ONE.replace("web:1", "web:2"))
        answer = await bench.call("history", target="one/web")
        rows = [(row["task_id"], row["state"], row["exit_code"]) for row in answer["containers"]]
        assert rows == [("one.web.1.r1-2", "RUNNING", None), ("one.web.1.r1-1", "FAILED", 1)]
        assert [row["revision"] for row in answer["revisions"]] == [1, 2]
        assert len((await bench.call("history", limit=1))["containers"]) == 1


async def test_a_task_is_found_by_its_name_even_after_it_ended() -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(CORE)
        with pytest.raises(NotFound, match="no container of core/web/1 ever ran; start it with: offerer up core/web/1"):
            await bench.call("task", target="core/web/1")
        bench.crashes_on_start = lambda name: name.job == "mysql"
        await bench.call("up", target="core")
        with pytest.raises(NotFound, match="core/web/1 ever ran; what it waits for says: offerer why core/web/1"):
            await bench.call("task", target="core/web/1")
        bench.crashes_on_start = lambda _: False
        bench.advance(2)
        await bench.rest()
        assert (await bench.call("task", target="core/web/1"))["task_id"] == "core.web.1.r1-1"
        with pytest.raises(InvalidInput, match="core/web has 3 tasks; name one of core/web/1, core/web/2, core/web/3"):
            await bench.call("task", target="core/web")
        await bench.call("down", target="core")
        found = await bench.call("task", target="core/web/1")
        assert (found["task_id"], found["live"]) == ("core.web.1.r1-1", False)


async def test_inspect_shows_file_revisions_and_tasks() -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(ONE)
        await bench.call("up", target="one")
        answer = await bench.call("inspect", target="one/web/1")
        assert answer["file"] == ONE
        assert answer["newest"] == {"image": "web:1", "ports": [{"container": 80}]}
        assert answer["history"][0]["task_id"] == "one.web.1.r1-1"
        services = (await bench.call("services"))["services"]
        assert [row["who"] for row in services] == ["me"]


@pytest.mark.parametrize(
    ("method", "arguments", "error", "message"),
    [
        ("pusch", {}, NotFound, "coding has no method 'pusch'; did you mean 'push'?"),
        ("push", {}, InvalidInput, "files: give a list of one or more {name, text}"),
        ("push", {"files": [{"name": 1}]}, InvalidInput, r"files\[0\]: give name and text, both strings"),
        ("push", {"files": [{"name": "a", "text": "x: 1"}]}, InvalidInput, "a:1: service: missing"),
        ("up", {}, InvalidInput, "target: None is not SERVICE, SERVICE/JOB or SERVICE/JOB/TASK"),
        ("up", {"target": []}, InvalidInput, "target: name at least one"),
        ("up", {"target": "a/b/c/d"}, InvalidInput, "target: 'a/b/c/d' is not SERVICE"),
        ("up", {"target": ["one", 3]}, InvalidInput, "target: 3 is not SERVICE"),
        ("rollback", {"target": "one", "to": 0}, InvalidInput, "to: 0 must be the number of a revision, 1 or more"),
        ("rollback", {"target": "one"}, Conflict, "one is not up"),
        ("diff", {"target": "one", "from": "x"}, InvalidInput, "from: 'x' must be the number of a revision"),
        ("diff", {"target": "one/web"}, InvalidInput, "target: one/web is part of a service"),
        ("down", {"target": "two"}, NotFound, "there is no service 'two'; push it with: offerer push FILE"),
        ("update", {"target": "one"}, Conflict, "one is not up"),
        ("update", {"target": "one", "who": 7}, InvalidInput, "who: 7 must be a string"),
        ("ps", {"target": "one/wed"}, NotFound, "service one has no job 'wed'; did you mean 'web'?"),
        ("history", {"limit": 0}, InvalidInput, "limit: 0 must be a whole number from 1"),
        ("inspect", {"target": ["one", "one"]}, InvalidInput, "target: name one"),
    ],
)
async def test_a_wrong_call_is_answered_clearly(
    method: str, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    async with hosted(MemoryStore()) as bench:
        await bench.push(ONE)
        with pytest.raises(error, match=message.replace("?", r"\?")):
            await bench.call(method, **arguments)


# -- the store ------------------------------------------------------------------------------------------------


async def test_a_new_process_on_the_same_store_goes_on() -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await bench.push(CORE)
        await bench.call("up", target="core")
        before, rows = bench.running(), await bench.tasks()
    async with hosted(store, bench.hosts) as again:
        assert again.running() == before and await again.tasks() == rows
        again.now += 60_000_000
        again.end("core/web/1")
        await again.rest()
        assert "core.web.1.r1-2" in again.running()


async def test_a_revision_that_another_tool_writes_is_taken_like_a_push() -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await store.transact([Put("revisions/one/1", ONE.encode())])
        await until(lambda: bench.state.revisions.get("one"), bench)
        await bench.call("up", target="one")
        assert list(bench.running()) == ["one.web.1.r1-1"]
        pushed = await bench.push(ONE.replace("web:1", "web:2"))
        assert pushed["services"][0]["revision"] == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("revisions/one/7", b"service: one\njobs: {web: {imag: x}}\n", "revisions/one/7:2: jobs.web.imag: unknown"),
        ("revisions/two/1", ONE.encode(), "revisions/two/1: holds service 'one'; put it under revisions/one/"),
        ("revisions/one/latest", ONE.encode(), "revisions/one/latest: not revisions/SERVICE/NUMBER"),
        ("revisions/one/8", b"\xff\xfe", "revisions/one/8: not UTF-8 text"),
        ("revisions/one/00000001", ONE.replace("web:1", "x:1").encode(), "a revision never changes"),
    ],
)
async def test_a_revision_that_is_wrong_is_reported_and_hurts_nothing(key: str, value: bytes, message: str) -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await bench.push(ONE)
        await bench.call("up", target="one")
        await store.transact([Put(key, value)])
        await until(lambda: bench.state.problems, bench)
        (problem,) = (await bench.call("status"))["problems"]
        assert message in problem
        assert len(bench.running()) == 1
        pushed = await bench.push(ONE.replace("web:1", "web:2"))
        assert pushed["services"][0]["revision"] > 1
    async with hosted(store, bench.hosts) as again:  # and nothing breaks when it is loaded
        assert len(again.running()) == 1 or key.endswith("00000001")


async def test_two_pushes_at_once_do_not_overwrite_each_other() -> None:
    store = MemoryStore()
    async with hosted(store) as one, hosted(store) as two:
        files = [{"name": "one.yaml", "text": ONE}]
        other = [{"name": "one.yaml", "text": ONE.replace("web:1", "web:2")}]
        push_one, push_two = one.context.handler, two.context.handler
        assert push_one is not None and push_two is not None
        both = push_one("push", {"files": files}), push_two("push", {"files": other})
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "dict"]


async def test_a_command_says_when_the_store_is_away(quick_retries: None) -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await bench.push(ONE)
        store.available = False
        with pytest.raises(Unavailable):
            await bench.push(ONE.replace("web:1", "web:2"))
        with pytest.raises(Unavailable, match="it is noted, and done as soon as the store does"):
            await bench.call("up", target="one")
        assert bench.running() == {}
        store.available = True
        await until(bench.running, bench)


async def test_it_waits_for_a_store_that_is_not_there_yet(quick_retries: None) -> None:
    store = MemoryStore()
    async with hosted(store) as bench:
        await bench.push(ONE)
        await bench.call("up", target="one")
    store.available = False
    late = Hosted(store, bench.hosts)
    serving = asyncio.create_task(late.coding.serve(late.context))
    await asyncio.sleep(0)
    assert not late.context.is_ready.is_set()
    store.available = True
    await asyncio.wait_for(late.context.is_ready.wait(), 10)
    late.register()
    await late.rest()
    assert list(late.running()) == ["one.web.1.r1-1"]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_cycle_that_another_tool_writes_is_reported_and_does_not_stop_the_rest() -> None:
    store = MemoryStore()
    for key, text in (
        ("revisions/a/1", "service: a\njobs: {web: {image: x, depends_on: [b/api]}}\n"),
        ("revisions/b/1", "service: b\njobs: {api: {image: x, depends_on: [a/web]}}\n"),
    ):
        store.write([Put(key, text.encode())])
    async with hosted(store) as bench:
        (problem,) = (await bench.call("status"))["problems"]
        assert problem == "these jobs wait for each other: a/web → b/api → a/web; a/web does not wait"
        await bench.call("up", target="b")
        assert len(bench.running()) == 2
        await bench.call("down", target=["a", "b"])
        assert bench.running() == {}
