"""Where a tenant's rows live, by tier: what has to be made there, and unmade. Each step may run again and finds done what is done.

Names and passwords are derived from the tenant's first data key: unguessable, and the same again after a crash.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg import sql

from config.settings import Settings, with_credentials
from tenancy.servers import (
    clone_template,
    drop_database,
    ensure_login_role,
    grant_tables,
    pool_database,
    pool_dsn,
    restrict_connect,
    with_database,
)
from tenancy.vault import Vault

Step = Callable[[], None]
Server = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]
"""The owner's connection to the platform's server that holds the tenant's lock."""


class Place(Protocol):
    """`dsn` is the account that serves the tenant, `database` its database's name."""

    @property
    def dsn(self) -> str: ...

    @property
    def database(self) -> str: ...

    def steps(self, server: Server) -> list[tuple[str, Step]]:
        """What makes it, in order, each with the words that progress shows."""
        ...

    def drop(self, server: Server) -> None:
        """Unmake what the steps made. What other tenants share stays, and so do this tenant's rows there."""
        ...


class Pool:
    """The database that pooled tenants share: there is nothing to make."""

    def __init__(self, settings: Settings):
        self.dsn = pool_dsn(settings)
        self.database = pool_database(settings)

    def steps(self, server: Server) -> list[tuple[str, Step]]:
        """One, that does nothing."""
        return [("use the pooled database", lambda: None)]

    def drop(self, server: Server) -> None:
        """Nothing."""


class OwnDatabase:
    """A database and a login role of the tenant's own on the platform's server."""

    def __init__(self, settings: Settings, tenant_id: UUID, vault: Vault, dsn: str | None = None):
        """`dsn` is the account that is there already. It tells the role once the key that it was derived from is gone."""
        self._settings = settings
        self.database = f"nexus_t_{tenant_id.hex}"
        self.role, self._password = role_of(vault) if dsn is None else account_of(dsn)
        self.dsn = with_credentials(settings.owner_dsn, self.role, self._password, self.database)

    def steps(self, server: Server) -> list[tuple[str, Step]]:
        """Role, database, grants."""

        def create_role() -> None:
            with server() as connection:
                ensure_login_role(connection, self.role, self._password)

        def create_database() -> None:
            with server() as connection:
                clone_template(connection, self.database)

        def grant() -> None:
            with server() as connection:
                restrict_connect(connection, self.database, self.role)
                grant_tables(with_database(self._settings, self.database), self.role)

        return [("create the login role", create_role), ("clone the database", create_database), ("grant", grant)]

    def drop(self, server: Server) -> None:
        """The database with all that is in it, and the role.

        Whoever is still connected as the role is thrown out, which only who has the role's privileges may do.
        """
        with server() as connection:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (self.role,)).fetchone():
                connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(self.role)))
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(self.role)))
            drop_database(connection, self.database)
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(self.role)))


def role_of(vault: Vault) -> tuple[str, str]:
    """Name and password of the tenant's own login role."""
    return f"nexus_r_{_derived(vault, 'role')[:24]}", _derived(vault, "password")


def account_of(dsn: str) -> tuple[str, str]:
    """Name and password in a DSN."""
    known = psycopg.conninfo.conninfo_to_dict(dsn)
    return str(known["user"]), str(known["password"])


def _derived(vault: Vault, what: str) -> str:
    first = vault.keys[min(vault.keys)]
    return hmac.new(first, f"provisioning {what}".encode(), hashlib.sha256).hexdigest()
