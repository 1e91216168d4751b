"""What ``offerer secret`` asks of the framework. No answer has a value in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from frameworks.coding.arguments import Arguments, environment_of, string
from frameworks.coding.names import in_environment
from frameworks.coding.secrets import check_name
from frameworks.coding.state import State
from offerer import Compare, Conflict, Context, Delete, InvalidInput, Put


class SecretCalls:
    """Answers the calls about secrets."""

    def __init__(self, state: State, context: Context) -> None:
        self._state = state
        self._context = context

    @property
    def methods(self) -> dict[str, Callable[[Arguments], Awaitable[dict[str, object]]]]:
        """What answers each of them."""
        return {"secret_set": self._set, "secret_remove": self._remove, "secret_list": self._list}

    async def _set(self, arguments: Arguments) -> dict[str, object]:
        name, value = _name(arguments), arguments.get("value")
        if not isinstance(value, str):
            raise InvalidInput("value: give the secret's value, a string")
        state = self._state
        version, changes = state.secrets.set(name, value, string(arguments, "who"), self._context.now())
        await self._write(changes)
        newest = [revision for service in sorted(state.revisions) if (revision := state.newest(service))]
        used_by = [revision.service for revision in newest if name in revision.secrets]
        return {"name": name, "version": version, "changed": bool(changes), "used_by": used_by}

    async def _remove(self, arguments: Arguments) -> dict[str, object]:
        name = _name(arguments)
        users = [
            str(task.name)
            for task in self._state.tasks.values()
            for plan in [self._state.plan(task) if task.wanted is not None else None]
            if plan and any(secret.stored_as == name for secret in plan.secrets)
        ]
        if users:
            more = f" and {len(users) - 1} more" if len(users) > 1 else ""
            raise Conflict(f"{name} is used by {users[0]}{more}; push these without it and update, or take them down")
        await self._write(self._state.secrets.remove(name, string(arguments, "who"), self._context.now()))
        return {"name": name}

    async def _write(self, changes: list[Put | Delete]) -> None:
        if changes:
            new = [Compare(change.key, 0) for change in changes if isinstance(change, Put)]
            try:
                await self._context.store.transact(changes, new)
            except Conflict:
                raise Conflict("somebody else changed this secret at the same time; try again") from None
            self._state.secrets.took_place(changes)
            self._context.wake()

    async def _list(self, arguments: Arguments) -> dict[str, object]:
        return {"secrets": list(self._state.secrets.rows(environment_of(arguments))), "now": self._context.now()}


def _name(arguments: Arguments) -> str:
    """What the argument `name` is called in the store."""
    return in_environment(check_name(string(arguments, "name")), environment_of(arguments))
