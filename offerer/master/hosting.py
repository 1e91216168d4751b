"""Hosted plug-ins: each in a child process of the master, started again when it dies.

A process of its own is what keeps a plug-in that hangs, raises, leaks or crashes from touching the master or the
other plug-ins. The child ends itself when the master is gone (its standard input closes).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

from offerer.client.loading import EXIT_WRONG

log = logging.getLogger(__name__)

_FIRST_DELAY = 0.5  # seconds
_LONGEST_DELAY = 30.0
_RAN_WELL = 60.0


class Hosted:
    """One hosted plug-in."""

    def __init__(self, plugin: str, master: str, options: Sequence[str] = ()) -> None:
        self._plugin = plugin
        self._command = [sys.executable, "-m", "offerer.client", plugin, "--master", master, "--hosted"]
        for option in options:
            self._command += ["--set", option]

    async def run(self) -> None:
        """Keep it running until cancelled. A plug-in that cannot be loaded is not tried again."""
        delay = _FIRST_DELAY
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            code = await self._once()
            if code == EXIT_WRONG:
                log.error("framework %s cannot run; its own message is above. Not trying again", self._plugin)
                return
            if clock() - started > _RAN_WELL:
                delay = _FIRST_DELAY
            log.warning("framework %s ended with code %d; starting it again in %g s", self._plugin, code, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _once(self) -> int:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE)
        log.info("framework %s runs hosted, as process %d", self._plugin, process.pid)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 5)
                except TimeoutError:
                    process.kill()
                    await process.wait()
