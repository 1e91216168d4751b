"""What answers to calls have in common, whichever framework is asked: finding the method, and looking at every host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from frameworks.coding.arguments import Arguments
from frameworks.coding.names import did_you_mean
from offerer import Context, NotFound

Method = Callable[[Arguments], Awaitable[dict[str, object]]]

_LOOK: Final = 0.05  # seconds between two looks whether offers have come
_LOOKS: Final = 20


class Looking(Protocol):
    """A planner that can ask for offers of every host."""

    @property
    def looking(self) -> bool:
        """Whether that was asked for and none have come yet."""

    def look(self) -> None:
        """Ask for it at the next turn."""


class Calls:
    """Answers calls of one framework. `wait` returns after some seconds."""

    def __init__(
        self, framework: str, planner: Looking, context: Context, wait: Callable[[float], Awaitable[None]]
    ) -> None:
        self._framework = framework
        self._looking = planner
        self._context = context
        self._wait = wait
        self._methods: Mapping[str, Method] = {}

    async def handle(self, method: str, arguments: dict[str, object]) -> dict[str, object]:
        """Answer one call. Raises `OffererError`."""
        found = self._methods.get(method)
        if found is None:
            hint = did_you_mean(method, self._methods) or f"; there are {', '.join(self._methods)}"
            raise NotFound(f"{self._framework} has no method {method!r}{hint}")
        return await found(arguments)

    async def _look(self) -> None:
        """Have offers of every host come, so that what is known of them is new."""
        self._looking.look()
        self._context.wake()
        for _ in range(_LOOKS):
            if not self._looking.looking:
                break
            await self._wait(_LOOK)
