"""The language of the scripts in ``sorter/``: they drive `DrfSorter` alone. Each block ends with the order it gives.

Commands: ``total RESOURCES``, ``add N``, ``remove N``, ``activate N``, ``deactivate N``, ``weight N W``,
``N +RESOURCES``, ``N -RESOURCES``.
"""

from __future__ import annotations

import re
from pathlib import Path

from offerer import Resources
from offerer.allocator import DrfSorter
from offerer.allocator.drf import Client, Totals


def run_sorter_script(path: Path) -> tuple[str, str]:
    """The script as it is, and as it would be with the order that really came out."""
    text = path.read_text()
    sorter = _Sorter()
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split("----")[0].rstrip("\n").split("\n")
        commands = [line for line in lines if not line.startswith("#")]
        for command in commands:
            sorter.run(command.split())
        if commands:
            lines += ["----", sorter.order()]
        blocks.append("\n".join(lines))
    return text, "\n\n".join(blocks) + "\n"


class _Sorter:
    def __init__(self) -> None:
        self._totals = Totals()
        self._sorter: DrfSorter[Client] = DrfSorter(self._totals)
        self._weights: dict[str, int] = {}

    def order(self) -> str:
        return " ".join(client.name for client in self._sorter.order())

    def run(self, words: list[str]) -> None:
        match words:
            case ["total", resources]:
                self._totals.change(Resources.parse(resources))
            case ["add", name]:
                client = Client(name)
                self._sorter.add(client)
                self._sorter.set_active(client, True)
                self._sorter.set_weight(client, self._weights.get(name, 1000))
            case ["remove", name]:
                self._sorter.remove(self._sorter.clients[name])
            case ["activate" | "deactivate" as what, name]:
                self._sorter.set_active(self._sorter.clients[name], what == "activate")
            case ["weight", name, weight]:
                self._weights[name] = round(float(weight) * 1000)
            case [name, change]:
                amount = Resources.parse(change[1:])
                move = self._sorter.allocated if change[0] == "+" else self._sorter.unallocated
                move(self._sorter.clients[name], amount)
            case _:
                raise AssertionError(f"{' '.join(words)!r} is not a command")
