"""`nexus login`: email and password become a session and an API key for one tenant, kept for the other commands."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from cli.client import Client
from cli.credentials import Connection, Login, Server, connected
from cli.errors import CommandFailed, Problem

Tenant = Mapping[str, Any]


@click.command(
    epilog="""\b
Examples:
  nexus login --email admin@example.com --tenant Acme
  NEXUS_PASSWORD=… nexus login --email ada@example.com --url https://nexus.example.com
Without --tenant your only tenant is chosen; with several, the command lists them.
"""
)
@click.option("--email", required=True, help="Your account.")
@click.option("--tenant", metavar="NAME|ID", help="The tenant that jobs go to.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@connected
def login(connection: Connection, email: str, tenant: str | None, password_stdin: bool) -> None:
    """Log in and keep an API key for a tenant in NEXUS_HOME/cli.json.

    The password is asked for, or taken from NEXUS_PASSWORD; so is the code of a second factor, or taken from NEXUS_CODE.
    """
    server, before = connection.server(), connection.login()
    with Client(server.url) as client:
        tokens = _log_in(client, {"email": email, "password": _password(password_stdin)})
    kept = Login(server.url, server.local, email, refresh_token=tokens["refresh_token"])
    connection.store.write(kept)
    with Client(server.url, credential=tokens["access_token"]) as client:
        chosen = choose(list_tenants(client), tenant)
    if chosen is None:
        click.echo(f"logged in as {email}; you have no active tenant yet: nexus tenants create NAME")
        return
    connection.store.write(_with_key(kept, server, tokens["access_token"], chosen, before))
    click.echo(f"logged in as {email} to {chosen['name']} ({chosen['id']}) at {server.url}")


def list_tenants(client: Client) -> list[Tenant]:
    """All tenants that the caller sees."""
    items: list[Tenant] = []
    cursor: str | None = None
    while True:
        page = client.get("/api/v1/tenants", limit=200, cursor=cursor)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def choose(tenants: list[Tenant], wanted: str | None) -> Tenant | None:
    """The tenant of that id or name; without `wanted` the only active one, an operator's own, or None if there is none.

    Raises `CommandFailed` if there is no such tenant, or more than one.
    """
    active = [tenant for tenant in tenants if tenant["state"] == "active"]
    own = [one for one in active if one.get("is_operator")]  # who sees that one sees all tenants
    fits = own or active if wanted is None else [one for one in tenants if wanted in {one["id"], one["name"]}]
    if len(fits) == 1:
        return fits[0]
    if wanted is None and not fits:
        return None
    names = ", ".join(f"{one['name']} ({one['id']})" for one in (fits or active))
    if fits:
        raise CommandFailed(f"choose one with --tenant: {names}")
    raise CommandFailed(f"there is no tenant {wanted!r}; you have: {names or 'none'}")


def _with_key(kept: Login, server: Server, access_token: str, tenant: Tenant, before: Login | None) -> Login:
    """Make a key that may do all that the user may in the tenant, and end the one that an earlier login made there."""
    with Client(server.url, credential=access_token, tenant=tenant["id"]) as client:
        scopes = client.get("/api/v1/auth/me")["permissions"]
        if not scopes:
            raise CommandFailed(f"you hold no permission in {tenant['name']}")
        name = f"nexus command on {platform.node() or 'this machine'}"[:100]
        made = client.post("/api/v1/api-keys", {"name": name, "scopes": scopes})
        if before is not None and before.api_key_id is not None and before.tenant_id == tenant["id"]:
            with suppress(Problem):  # it was ended already
                client.send("DELETE", f"/api/v1/api-keys/{before.api_key_id}")
    return Login(
        kept.url, kept.local, kept.email, kept.refresh_token,
        tenant_id=tenant["id"], tenant_name=tenant["name"], api_key=made["key"], api_key_id=made["id"],
    )  # fmt: skip


def _log_in(client: Client, credentials: Mapping[str, Any]) -> Any:
    """The tokens of a login, with a code where the account has a second factor."""
    try:
        return client.post("/api/v1/auth/login", credentials)
    except Problem as problem:
        if problem.code != "mfa_required":
            raise
    return client.post("/api/v1/auth/login", {**credentials, "code": _code()})


def _code() -> str:
    given = os.environ.get("NEXUS_CODE")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandFailed(
            "the account has a second factor: set NEXUS_CODE to a code of the app, or to a recovery code"
        )
    return str(click.prompt("Code", err=True))


def _password(from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    given = os.environ.get("NEXUS_PASSWORD")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandFailed("no password: set NEXUS_PASSWORD or use --password-stdin")
    return str(click.prompt("Password", hide_input=True, err=True))
