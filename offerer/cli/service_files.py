"""Reading service files with all that belongs to them, and the commands that need no master: render and schema."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from offerer.cli.common import Session, pass_session
from offerer.cli.waiting import read_file, warn

if TYPE_CHECKING:
    from frameworks.coding.files import PushedFile

_LARGEST_FILE: Final = 512 << 10  # characters


def files_to_push(files: Sequence[TextIO], environment: str) -> list[dict[str, Any]]:
    """What `push` sends of these files; notes go to stderr. Raises `click.UsageError`."""
    pushed = [read_service_file(file, environment) for file in _without_overlays(files, environment)]
    plain = [file for file in pushed if environment and file.overlay is None]
    if plain:
        names = ", ".join(file.overlay_name for file in plain)
        warn([f"there is no {names}; without that, {environment} is what the file itself says"])
    return [
        {
            "name": file.name,
            "text": file.text,
            "overlay": file.overlay,
            "files": file.files,
            "unreadable": file.unreadable,
        }
        for file in pushed
    ]


def files_named(names: Sequence[str], environment: str) -> list[dict[str, Any]]:
    """The same of files that are not open yet."""
    with contextlib.ExitStack() as stack:
        try:
            files = [stack.enter_context(open(name, encoding="utf-8")) for name in names]
        except OSError as error:
            raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
        return files_to_push(files, environment)


def _without_overlays(files: Sequence[TextIO], environment: str) -> list[TextIO]:
    """A pattern such as ``*.yaml`` names overlays too; they come with the files that they go over."""
    from frameworks.coding.files import overlay_name

    names = {file.name for file in files}
    stems = {os.path.splitext(name)[0] for name in names}
    kept = []
    for file in files:
        stem, extension = os.path.splitext(file.name)
        base, dot, own = stem.rpartition(".")
        if dot and base in stems and overlay_name(base + extension, own) == file.name and base + extension in names:
            continue
        kept.append(file)
    return kept


def read_service_file(file: TextIO, environment: str) -> PushedFile:
    """The service file, its overlay for this environment, and the files that it refers to, as far as they are there."""
    from frameworks.coding.files import PushedFile, wanted_files

    pushed = PushedFile(file.name, read_file(file), environment)
    if environment and file.name != "-":
        try:
            with open(pushed.overlay_name, encoding="utf-8") as overlay:
                pushed = PushedFile(file.name, pushed.text, environment, read_file(overlay))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise click.UsageError(f"{pushed.overlay_name} cannot be read: {error.strerror}") from None
    files: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    directory = Path(file.name).parent if file.name != "-" else Path()
    for path in wanted_files(pushed):
        try:
            with open(directory / path, encoding="utf-8", newline="") as wanted:
                text = wanted.read(_LARGEST_FILE + 1)
            if len(text) <= _LARGEST_FILE:
                files[path] = text
            else:
                unreadable[path] = f"it is larger than {_LARGEST_FILE >> 10} KiB"
        except UnicodeDecodeError:
            unreadable[path] = "it is not UTF-8 text"
        except ValueError:
            unreadable[path] = "that is no path"
        except OSError as error:
            unreadable[path] = error.strerror or str(error)
    return PushedFile(pushed.name, pushed.text, environment, pushed.overlay, files, unreadable)


@click.command()
@click.argument("file", metavar="FILE", type=click.File(encoding="utf-8"))
@pass_session
def render(session: Session, file: TextIO) -> None:
    """Check a service file, and print what it comes to: its overlay merged over it, its env files read.

    Nothing is asked of a cluster, so secrets of the store are not looked for.

    Example: offerer render core.yaml --env staging
    """
    from frameworks.coding.check import check_pushed
    from frameworks.coding.overlay import render as to_yaml

    pushed = read_service_file(file, session.environment)
    if session.environment and pushed.overlay is None:
        warn([f"there is no {pushed.overlay_name}; without that, {session.environment} is what the file itself says"])
    click.echo(to_yaml(check_pushed(pushed).source.data), nl=False)


@click.command()
@click.option("--reference", is_flag=True, help="Every field with its meaning, in Markdown, for people to read.")
def schema(reference: bool) -> None:
    """Print the JSON Schema of service files, by which editors complete and check them.

    Example: offerer schema > ~/.config/offerer.schema.json
    """
    from frameworks.coding.reference import json_schema, markdown

    click.echo(markdown() if reference else json.dumps(json_schema(), indent=2), nl=not reference)
