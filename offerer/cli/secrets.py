"""``offerer secret set|list|remove``: values that services are given and that nothing shows."""

from __future__ import annotations

import sys
from typing import Any

import click

from offerer.cli.common import Session, json_option, pass_session
from offerer.cli.output import Column, age, print_json, print_table
from offerer.cli.waiting import FRAMEWORK, author

_LARGEST = 256 << 10


@click.group()
def secret() -> None:
    """Keep the secrets that service files refer to.

    Example: offerer secret set db-password --file password.txt
    """


@secret.command("set")
@click.argument("name")
@click.option("--file", "-f", "source", metavar="FILE", type=click.File("rb"), help="Read it from there; - is stdin.")
@json_option
@pass_session
def set_(session: Session, name: str, source: Any, as_json: bool) -> None:
    """Set a secret. Without --file, it is asked for; of what is piped in, one line break at the end is left out.

    Services get it with their next push and update.

    Example: offerer secret set db-password
    """
    answer = session.call(
        FRAMEWORK, "secret_set", {"name": name, "value": _value(source, name), "who": author()}
    )
    if as_json:
        print_json(answer)
        return
    if not answer["changed"]:
        click.echo(f"{answer['name']} has this value already, in version {answer['version']}")
        return
    click.echo(f"{answer['name']} is stored as version {answer['version']}")
    if answer["used_by"]:
        click.echo(f"note: push and update {', '.join(answer['used_by'])} to use it", err=True)


@secret.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List the secrets there are, without their values.

    Example: offerer secret list --env staging
    """
    answer = session.call(FRAMEWORK, "secret_list", {})
    columns = [
        Column("SECRET", "name"),
        Column("FROM", "from"),
        Column("VERSION", "version", right=True),
        Column("BYTES", "size", right=True),
        Column("AGE", lambda row: age(row["at"], answer["now"]), right=True),
        Column("WHO", "who"),
    ]
    empty = "there are no secrets; set one with: offerer secret set NAME"
    print_table(answer["secrets"], columns, as_json=as_json, empty=empty)


@secret.command()
@click.argument("name")
@json_option
@pass_session
def remove(session: Session, name: str, as_json: bool) -> None:
    """Remove a secret, with all its versions. Refused while a task that is up needs it.

    Example: offerer secret remove db-password
    """
    answer = session.call(FRAMEWORK, "secret_remove", {"name": name, "who": author()})
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['name']} is removed")


def _value(source: Any, name: str) -> str:
    if source is None and sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True))
    piped = source is None or source.name in ("-", "<stdin>")
    data: bytes = (sys.stdin.buffer if source is None else source).read(_LARGEST + 2)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise click.UsageError("the secret is not text in UTF-8; encode it, for example with base64") from None
    return text.removesuffix("\n").removesuffix("\r") if piped else text
