"""The story of production in a real Git repository."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import frameworks.git
from tests.memory_store import MemoryStore
from tests.unit.test_coding_class import Hosted, hosted

ONE = """\
service: one
jobs:
  web:
    image: web:{version}
    replicas: 2
    health: {{tcp: 80}}
    update: {{healthy_for: 1s, deadline: 30s, on_failure: rollback}}
"""


@pytest.fixture
def story(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "story"


def git(story: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(story), *arguments], capture_output=True, text=True)
    return done.stdout.splitlines()


def subjects(story: Path) -> list[str]:
    """The first lines of all messages, the oldest first."""
    return git(story, "log", "--reverse", "--format=%s") if story.exists() else []


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


async def told(c: Hosted, story: Path, count: int) -> list[str]:
    await c.rest()
    await until(lambda: len(subjects(story)) >= count and not any(c.state.deployments))
    return subjects(story)


async def test_every_step_is_a_commit(story: Path) -> None:
    async with hosted(MemoryStore(), git=str(story)) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one", who="amy@laptop")
        await told(c, story, 1)
        assert (story / "one.yaml").read_text() == ONE.format(version=1)
        await c.push(ONE.format(version=2))
        assert subjects(story) == ["one: up at r1: because"]  # what is pushed only is no part of the story
        await c.call("update", target="one", who="Bob Bee <bob@desk>\n")
        await told(c, story, 2)
        assert (story / "one.yaml").read_text() == ONE.format(version=2)
        await c.call("abort", target="one", who="amy@laptop")
        await c.call("down", target="one/web/1", who="amy@laptop")
        await c.call("down", target="one", who="amy@laptop")
        assert await told(c, story, 5) == [
            "one: up at r1: because",
            "one: update to r2: because",
            "one: abort to r1",
            "one: down in part, leaving r1",
            "one: down",
        ]
        assert not (story / "one.yaml").exists() and git(story, "status", "--porcelain") == []
        assert git(story, "log", "--format=%an %ae", "-1") == ["amy amy@laptop"]
        assert git(story, "log", "--format=%an %ae", "-1", "--skip=3") == ["Bob Bee bob@desk"]
        body = git(story, "log", "--format=%B", "-1", "--skip=3")
        assert body[:4] == ["one: update to r2: because", "", "Tasks: one/web/1, one/web/2", "Revision: r2"]
        assert body[4] == "Pushed-by: me" and body[5].startswith("Deployment: ")


async def test_each_environment_has_a_directory(story: Path) -> None:
    async with hosted(MemoryStore(), git=str(story)) as c:
        file = {"name": "one.yaml", "text": ONE.format(version=1)}
        await c.call("push", files=[file], environment="staging")
        await c.call("up", target="one@staging", who="amy@laptop")
        assert await told(c, story, 1) == ["one@staging: up at r1"]
        assert (story / "staging" / "one.yaml").read_text() == ONE.format(version=1)


async def test_what_rolls_back_by_itself_is_told_with_the_reason(story: Path) -> None:
    async with hosted(MemoryStore(), git=str(story)) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one", who="amy@laptop")
        c.advance(5)
        await c.push(ONE.format(version=2))
        c.probe_says = lambda task: b"web:2" not in task.spec
        await c.call("update", target="one", who="amy@laptop")
        c.advance(40)
        await told(c, story, 3)
        assert git(story, "log", "-1", "--format=%s | %an") == ["one: rolled back by itself to r1 | offerer"]
        assert "one/web/1 did not come up within 30 s" in git(story, "log", "-1", "--format=%b")[0]
        assert (story / "one.yaml").read_text() == ONE.format(version=1)


async def test_a_failure_is_reported_and_made_up_for(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks.git, "_RETRY", 0.01)
    story.parent.mkdir()
    story.write_text("in the way")
    async with hosted(MemoryStore(), git=str(story)) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one", who="amy@laptop")
        await until(lambda: "git" in c.state.problems)
        assert len(c.running()) == 2  # nothing waits for it
        (problem,) = (await c.call("status"))["problems"]
        assert problem.startswith(f"cannot commit to {story}: ") and problem.endswith("1 waiting, tried again")
        story.unlink()
        assert await told(c, story, 1) == ["one: up at r1: because"]
        await until(lambda: "git" not in c.state.problems)


async def test_a_repository_of_something_else_is_left_alone(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks.git, "_RETRY", 0.01)
    story.mkdir(parents=True)
    git(story, "init", "--quiet")
    git(story, "-c", "user.name=amy", "-c", "user.email=amy@laptop", "commit", "--allow-empty", "-m", "my program")
    async with hosted(MemoryStore(), git=str(story)) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one", who="amy@laptop")
        await until(lambda: "it is a repository of something else" in c.state.problems.get("git", ""))
        assert subjects(story) == ["my program"] and not (story / "one.yaml").exists()
        git(story, "config", "offerer.story", "true")
        assert await told(c, story, 2) == ["my program", "one: up at r1: because"]


async def test_git_that_is_not_there_is_a_problem_too(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "PATH": str(story)})
    async with hosted(MemoryStore(), git=str(story)) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one")
        await until(lambda: "there is no program git; install it" in c.state.problems.get("git", ""))


async def test_a_restart_loses_nothing_and_repeats_nothing(story: Path) -> None:
    store = MemoryStore()
    async with hosted(store, git="/dev/null/nowhere") as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one", who="amy@laptop")
        await c.call("restart", target="one", who="amy@laptop")
        hosts = c.hosts
    waiting = [entry for key, entry in store.entries.items() if key.startswith("deployments/")]
    assert len(waiting) == 2
    async with hosted(store, hosts, git=str(story)) as c:
        await told(c, story, 2)
        await until(lambda: c.state.journal.empty)
    assert not [key for key in store.entries if key.startswith("deployments/")]
    store.entries |= {entry.key: entry for entry in waiting}  # as if it had died right after the commits
    async with hosted(store, hosts, git=str(story)) as c:
        await until(lambda: not any(c.state.deployments))
    assert subjects(story) == ["one: up at r1: because", "one: restart at r1"]


async def test_without_a_repository_nothing_is_kept() -> None:
    store = MemoryStore()
    async with hosted(store) as c:
        await c.push(ONE.format(version=1))
        await c.call("up", target="one")
    assert not [key for key in store.entries if key.startswith("deployments/")]
