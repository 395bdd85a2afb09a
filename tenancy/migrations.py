"""Runs the two Alembic histories. A database that is current costs one query."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, LiteralString

import psycopg
from sqlalchemy import Connection, text

import migrations
from tenancy.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

History = Literal["platform", "tenant"]

_alembic = threading.Lock()
"""Alembic keeps what it is doing in module globals, so a process runs one migration at a time."""


def config(history: History) -> Config:
    """Alembic's configuration of one history; needs no `alembic.ini`."""
    from alembic.config import Config  # noqa: PLC0415  # a tenth of a second that no start needs where nothing migrates

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(migrations.__file__).parent / history))
    configuration.set_main_option("path_separator", "os")
    return configuration


@cache
def revisions(history: History) -> tuple[str, ...]:
    """Every revision that this code knows, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as in `config`

    scripts = ScriptDirectory.from_config(config(history))
    if scripts.get_current_head() is None:  # which raises if there are several
        raise LookupError(f"the {history} history has no revision")
    return tuple(script.revision for script in scripts.walk_revisions())


def head(history: History) -> str:
    """The newest revision that this code knows."""
    return revisions(history)[0]


def older(history: History) -> list[str]:
    """The revisions before the newest. A database at none of ours was migrated by newer code."""
    return list(revisions(history)[1:])


def revision_of(dsn: str) -> str | None:
    """The revision that the database is at, read by the account that owns its schema; None before its first."""
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


class NewerSchema(Exception):
    """A database is at a revision that this code does not know: newer code has migrated it. `revision` names it."""

    def __init__(self, revision: str):
        super().__init__(f"the database is at revision {revision}, which this version does not know")
        self.revision = revision


def upgrade(
    history: History, database: Database, *, lock_timeout: LiteralString | None = None, to: str | None = None
) -> str:
    """Bring the database to `head`, or to the revision `to`, one runner at a time; returns the revision it is at.

    With `lock_timeout`, as PostgreSQL writes times, a lock that is not to be had ends it; nothing has changed then. Raises
    `NewerSchema`.
    """
    with database.engine.begin() as connection:
        if lock_timeout is not None:
            connection.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": lock_timeout})
        return upgrade_within(history, connection, to)


def upgrade_within(history: History, connection: Connection, to: str | None = None) -> str:
    """As `upgrade`, as a part of the connection's transaction."""
    from alembic import command  # noqa: PLC0415  # as in `config`
    from alembic.migration import MigrationContext  # noqa: PLC0415

    wanted = to or head(history)
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('nexus migrations'))"))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in revisions(history):
        raise NewerSchema(current)
    if current != wanted:
        configuration = config(history)
        configuration.attributes["connection"] = connection
        with _alembic:
            command.upgrade(configuration, wanted)
    return wanted
