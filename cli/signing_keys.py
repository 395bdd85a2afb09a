"""`nexus signing-keys`: the keys that sign access tokens. For operators."""

from __future__ import annotations

from typing import Any

import click

from cli.credentials import Connection, connected
from cli.output import print_json, print_table
from cli.pauses import PATH, as_json_option

COLUMNS = ("id", "state", "signs_from", "verifies_until")


@click.group(
    epilog="""\b
Examples:
  nexus signing-keys rotate          a new key: shown now, signing in three minutes; nobody is signed out
  nexus signing-keys list
  nexus signing-keys retire 01a1…    one that leaked: its tokens are refused within a minute
"""
)
def signing_keys() -> None:
    """Show, rotate and retire the keys that sign access tokens."""


@signing_keys.command("list")
@as_json_option
@connected
def list_keys(connection: Connection, as_json: bool) -> None:
    """List the keys that verify, newest first."""
    _send(connection, "GET", "", as_json)


@signing_keys.command()
@as_json_option
@connected
def rotate(connection: Connection, as_json: bool) -> None:
    """Make a new key, which signs in three minutes. The one before verifies what it has signed."""
    _send(connection, "POST", "/rotate", as_json)


@signing_keys.command()
@click.argument("key", metavar="ID", type=click.UUID)
@as_json_option
@connected
def retire(connection: Connection, key: Any, as_json: bool) -> None:
    """End a key at once, with all tokens that it signed; another one takes over."""
    _send(connection, "DELETE", f"/{key}", as_json)


def _send(connection: Connection, method: str, path: str, as_json: bool) -> None:
    with connection.as_user() as client:
        found: Any = client.send(method, f"{PATH}/signing-keys{path}").body
    if as_json:
        print_json(found)
    else:
        print_table(COLUMNS, [[key[name] for name in COLUMNS] for key in found["items"]])
