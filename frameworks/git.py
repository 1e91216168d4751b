"""Keeps the story of production in a Git repository: one commit for each step, with the service file that it led to.

It runs beside the plug-in, in the plug-in's own coroutine. Whatever goes wrong is reported as a problem and tried
again; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from offerer import SECOND, OffererError

if TYPE_CHECKING:
    from frameworks.coding.deployments import Deployment
    from frameworks.coding.state import State

_RETRY: Final = 1.0  # seconds until the next try, twice as long each time
_LONGEST_RETRY: Final = 60.0
_PATIENCE: Final = 60.0  # seconds that git may take, with whatever hooks there are
_PROBLEM: Final = "git"
_OURS: Final = "offerer.story"  # set in the configuration of a repository that is for this
_SELF: Final = "offerer"
_LOOK_BACK: Final = 100  # commits: no more than a few of the latest can be waiting still when the process dies
_log = logging.getLogger(__name__)


class GitFailed(OffererError):
    """Git did not do what was asked."""


class Repository:
    """A repository of ours; made where there is none."""

    def __init__(self, directory: str, state: State) -> None:
        self.directory = Path(directory).absolute()
        self._state = state
        self._dirty = asyncio.Event()
        state.deployments.wanted = True

    def look(self) -> None:
        """Have what was noted committed soon."""
        if any(self._state.deployments):
            self._dirty.set()

    async def run(self, committed: Callable[[], None]) -> None:
        """Commit until cancelled; `committed` is called after each commit."""
        delay = _RETRY
        self.look()
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                for deployment in self._state.deployments:
                    await self._commit(deployment)
                    self._state.deployments.done(deployment)
                    committed()
            except (GitFailed, OSError) as error:
                self._report(error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_RETRY)
                self._dirty.set()
                continue
            self._state.problems.pop(_PROBLEM, None)
            delay = _RETRY

    def _report(self, error: Exception) -> None:
        why = f"git took longer than {_PATIENCE:g} s" if isinstance(error, TimeoutError) else str(error)
        waiting = sum(1 for _ in self._state.deployments)
        problem = f"cannot commit to {self.directory}: {why}; {waiting} waiting, tried again"
        if self._state.problems.get(_PROBLEM) != problem:
            _log.warning("%s", problem)
        self._state.problems[_PROBLEM] = problem

    async def _commit(self, deployment: Deployment) -> None:
        await self._make_sure_of_it()
        latest = await self._git("log", f"-{_LOOK_BACK}", "--format=%B", ignore_failure=True)
        if f"Deployment: {deployment.id}" in latest.splitlines():
            return  # before a crash
        revisions = self._state.revisions.get(deployment.service, {})
        revision = revisions.get(deployment.revision) if deployment.revision else None
        file = file_of(deployment.service)
        path = self.directory / file
        if revision is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(revision.text, encoding="utf-8")
        await self._git("add", "--all", "--", file, ignore_failure=revision is None)
        pushed = (revision.who, revision.message) if revision else ("", "")
        await self._git(
            "commit", "--quiet", "--allow-empty", "--no-verify", "--no-gpg-sign", "--cleanup=verbatim", "--file=-",
            text=message_of(deployment, *pushed), env=_identities(deployment),
        )  # fmt: skip

    async def _make_sure_of_it(self) -> None:
        """Have a repository of our own there: never commit to one that somebody keeps for something else."""
        if not (self.directory / ".git").exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet")
        elif (await self._git("config", "--get", _OURS, ignore_failure=True)).strip() == "true":
            return
        if await self._git("rev-parse", "--verify", "--quiet", "HEAD", ignore_failure=True):
            mark = f"git -C {self.directory} config {_OURS} true"
            raise GitFailed(f"it is a repository of something else; name another directory, or if not: {mark}")
        await self._git("config", _OURS, "true")

    async def _git(
        self, *arguments: str, text: str = "", env: Mapping[str, str] | None = None, ignore_failure: bool = False
    ) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            process = await asyncio.create_subprocess_exec(
                "git", "-C", str(self.directory), *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env={**clean, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})},
            )  # fmt: skip
        except FileNotFoundError:
            raise GitFailed("there is no program git; install it") from None
        try:
            async with asyncio.timeout(_PATIENCE):
                out, errors = await process.communicate(text.encode(errors="replace"))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode and not ignore_failure:
            said = " ".join((errors or out).decode(errors="replace").split())
            raise GitFailed(f"git {arguments[0]}: {said[:300] or f'exit code {process.returncode}'}")
        return out.decode(errors="replace")


def file_of(service: str) -> str:
    """``core.yaml``; of another environment ``staging/core.yaml``."""
    name, _, environment = service.partition("@")
    return f"{environment}/{name}.yaml" if environment else f"{name}.yaml"


def message_of(deployment: Deployment, pushed_by: str, pushed_with: str) -> str:
    """The message of a commit: what happened in one line, then why and to which tasks, then facts for programs."""
    revision = deployment.revision
    to = {"up": "at", "restart": "at", "scale": "at", "down": "in part, leaving"}.get(deployment.what, "to")
    subject = f"{deployment.service}: {deployment.what}" + (f" {to} r{revision}" if revision else "")
    if pushed_with and deployment.what in ("up", "update"):
        subject += f": {' '.join(pushed_with.split())}"
    lines = [subject, ""]
    if deployment.why:
        lines += [" ".join(deployment.why.split()), ""]
    shown = deployment.tasks[:20]
    more = f" and {len(deployment.tasks) - len(shown)} more" if len(deployment.tasks) > len(shown) else ""
    lines += [f"Tasks: {', '.join(shown)}{more}"]
    if revision:
        lines += [f"Revision: r{revision}"]
    if pushed_by:
        lines += [f"Pushed-by: {' '.join(pushed_by.split())}"]
    return "\n".join([*lines, f"Deployment: {deployment.id}", ""])


def _identities(deployment: Deployment) -> dict[str, str]:
    """Who did it, as Git wants it: ``amy <amy@laptop>``, whether only the address was said or all of that."""
    written = re.fullmatch(r"\s*([^<>\s][^<>]*?)\s*<([^<>\s]+)>\s*", deployment.who)
    who = re.sub(r"[<>\s]+", " ", deployment.who).strip() or _SELF
    name, address = (written[1], written[2]) if written else (who.partition("@")[0] or who, who.replace(" ", "-"))
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": address if "@" in address else f"{address}@localhost",
        "GIT_AUTHOR_DATE": f"@{deployment.id // SECOND} +0000",
        "GIT_COMMITTER_NAME": _SELF,
        "GIT_COMMITTER_EMAIL": f"{_SELF}@localhost",
    }
