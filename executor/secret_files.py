"""The files of secrets on this host, mounted into the containers that may see them, and gone when those have ended.

They lie below one directory that only the executor's user can enter, by default in ``/run``, which is in memory.
Within it they can be read by all: the user in the container is whoever its image says.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from executor.spec import SecretFile


class SecretFiles:
    """The directory; one subdirectory for each container, under its name."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def write(self, files: Iterable[SecretFile]) -> None:
        """Write these. Raises OSError."""
        for file in files:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(file.source)
            path.parent.mkdir(exist_ok=True)
            path.parent.chmod(0o755)  # whatever the umask
            path.unlink(missing_ok=True)
            path.write_text(file.value)
            path.chmod(0o444)

    def remove(self, container: str) -> None:
        """Remove those of this container, if there are any."""
        shutil.rmtree(self._directory / container, ignore_errors=True)

    def present(self) -> list[str]:
        """The containers that have some, by name."""
        return [path.name for path in self._directory.iterdir()] if self._directory.is_dir() else []


def unused(present: Iterable[str], held: Collection[str], ended: Collection[str]) -> list[str]:
    """Which of these containers need theirs no more: those that ended, and those of no task that is held.

    `held` are the names of the tasks' containers; in a pod they have the container's own name behind that. One that is
    not made yet has its files already.
    """
    return [name for name in present if name in ended or not any(each in held for each in _beginnings(name))]


def _beginnings(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))
