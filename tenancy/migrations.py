"""Runs the two Alembic histories. A database that is current costs one query."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import migrations
from tenancy.database import Database

History = Literal["platform", "tenant"]


def config(history: History) -> Config:
    """Alembic's configuration of one history; needs no `alembic.ini`."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(migrations.__file__).parent / history))
    configuration.set_main_option("path_separator", "os")
    return configuration


def head(history: History) -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(config(history)).get_current_head()
    if revision is None:
        raise LookupError(f"the {history} history has no revision")
    return revision


def known(history: History) -> tuple[str, ...]:
    """Every revision that this code knows, the oldest first."""
    found = ScriptDirectory.from_config(config(history)).walk_revisions()
    return tuple(each.revision for each in found)[::-1]


def upgrade(history: History, database: Database) -> str:
    """Bring the database to `head`, one runner at a time; returns the revision it is at."""
    wanted = head(history)
    with database.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('nexus migrations'))"))
        if MigrationContext.configure(connection).get_current_revision() != wanted:
            configuration = config(history)
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    return wanted
