"""Moving a tenant from the pooled database into one of its own, with nothing lost and nothing doubled.

The rows are copied while nobody can write (`tenancy.life.quiet`), and every table's count and digest must agree before the switch.
Rows are copied and compared only between databases of one schema version: while a wave is at one of them, the job waits.
After the switch the old rows are held against the new ones once more, in the transaction that removes them: a write that came
in by a way that nobody thought of is found, not lost. Killed anywhere, the job goes on; given up before the switch, the new
database is dropped; after it, settling goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from sqlalchemy.orm import Session

from config.settings import Settings
from domain.errors import NotNow, Permanent, Transient
from domain.tenants.states import begins
from tenancy.access import Tenancy
from tenancy.database import Database, tenant_scope
from tenancy.holding import Hold
from tenancy.life import quiet
from tenancy.life.contents import tenant_tables
from tenancy.life.rows import Digest, Row, digest, load, read, remove
from tenancy.migrations import head, older, revision_of, upgrade
from tenancy.places import OwnDatabase, Pool
from tenancy.servers import with_database

Progress = Callable[[int, int | None, str], None]

_SWITCH: LiteralString = """
UPDATE tenants SET tier = 'dedicated', dsn_sealed = %(dsn)s, database_name = %(database)s, schema_version = %(schema)s,
       transition = transition || '{"switched": true}'::jsonb, version = version + 1
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_ACTIVATE: LiteralString = """
UPDATE tenants SET state = transition ->> 'from', transition = NULL, version = version + 1,
       settings = settings || jsonb_build_object('done', transition ->> 'job')
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""


class TierChange:
    """The saga of one tenant, pooled before and dedicated after. `wait` sleeps and raises when the job should stop."""

    def __init__(
        self, settings: Settings, tenancy: Tenancy, hold: Hold, job_id: UUID, wait: quiet.Wait, progress: Progress
    ):
        self._tenancy, self._hold, self._job_id = tenancy, hold, job_id
        self._settings, self._wait, self._progress = settings, wait, progress
        record = tenancy.record(hold.tenant_id)
        self._vault = record.vault
        self._old = Pool(settings)
        self._new = OwnDatabase(settings, record.id, record.vault, record.dsn if record.tier == "dedicated" else None)

    def run(self) -> dict[str, int]:
        """All of it; returns the rows of each table. Raises `Permanent` (`illegal_transition`) for a tenant that is not
        pooled and active, `NotNow` (`other_version`) while the schemas are not those of this code.
        """
        record = self._tenancy.record(self._hold.tenant_id)
        if quiet.is_done(record, self._job_id):
            return {}
        resumed = (record.transition or {}).get("what") == "change_tier"
        if record.tier != "pooled" and not resumed:
            raise Permanent(f"The tenant is {record.tier} already.", code="illegal_transition")
        if not resumed:
            self._confirm_version(self._old.database, head("tenant"))  # before anybody is shut out
        transition = quiet.begin(self._hold, "change_tier", self._job_id, begins("change_tier"))
        if not transition.get("switched"):
            for name, step in self._new.steps(self._hold.server):
                self._progress(0, None, name)
                step()
            self._bring_up()
            self._progress(0, None, "wait until nobody works in the tenant")
            quiet.close(self._hold, self._wait)
            self._confirm_version(self._old.database, head("tenant"))
            self._copy()
            self._switch()
        return self.finish()

    def finish(self) -> dict[str, int]:
        """What is left to do after the switch: remove the old rows, if they are what was copied, and let people in."""
        counts = self._remove_old()
        self._progress(0, None, "activate")
        self._hold.version = self._hold.update(_ACTIVATE)["version"]
        return counts

    def give_up(self) -> None:
        """Undo everything before the switch: the new database goes, the tenant is as it was."""
        self._new.drop(self._hold.server)
        self._hold.version = self._hold.update(_ACTIVATE)["version"]

    def _bring_up(self) -> None:
        """The new database is as old as the worker that began it: bring it to the version of this one. Nothing is in it yet."""
        revision = revision_of(with_database(self._settings, self._new.database))
        if revision in older("tenant"):
            owner = _opened(with_database(self._settings, self._new.database))
            try:
                upgrade("tenant", owner)
            finally:
                owner.dispose()
        elif revision != head("tenant"):
            raise _other_version(self._new.database)

    def _confirm_version(self, database: str, revision: str | None) -> None:
        if revision_of(with_database(self._settings, database)) != revision:
            raise _other_version(database)

    def _copy(self) -> None:
        """Into the new database in one transaction, which commits only what agrees with the source."""
        tenant_id, scope = self._hold.tenant_id, tenant_scope(self._hold.tenant_id)
        source, target = _opened(self._old.dsn), _opened(self._new.dsn)
        try:
            with source.snapshot(scope) as from_here, target.session(scope) as session:
                to_there = raw(session)
                tables = tenant_tables(from_here)
                for table in reversed(tables):
                    remove(to_there, table, tenant_id)
                for number, table in enumerate(tables):
                    self._progress(number, len(tables), f"copy {table.name}")
                    told = Digest()
                    load(to_there, table, ((line, extra) for line, extra in _counted(
                        read(from_here, table, tenant_id), told, tenant_id)))  # fmt: skip
                    if digest(to_there, table, tenant_id) != told:
                        raise Transient(f"The copy of {table.name} differs from its source.", code="copy_differs")
        finally:
            source.dispose()
            target.dispose()

    def _switch(self) -> None:
        self._progress(0, None, "switch")
        sealed = self._vault.seal(self._new.dsn.encode(), "tenants", "dsn_sealed", self._hold.tenant_id)
        row = self._hold.update(
            _SWITCH, noting="tenant.tier_changed", dsn=sealed, database=self._new.database, schema=head("tenant")
        )
        self._hold.version = row["version"]

    def _remove_old(self) -> dict[str, int]:
        self._confirm_version(self._old.database, revision_of(with_database(self._settings, self._new.database)))
        tenant_id, scope = self._hold.tenant_id, tenant_scope(self._hold.tenant_id)
        source, target = _opened(self._old.dsn), _opened(self._new.dsn)
        counts: dict[str, int] = {}
        try:
            with target.snapshot(scope) as there, source.session(scope) as session:
                here = raw(session)
                tables = tenant_tables(here)
                for table in tables:
                    self._progress(len(counts), len(tables), f"compare {table.name}")
                    old, new = digest(here, table, tenant_id), digest(there, table, tenant_id)
                    counts[table.name] = new.rows
                    if old.rows and old != new:  # none: an earlier attempt has removed them
                        raise Permanent(
                            f"{table.name} was changed behind the copy; nothing was removed.", code="copy_differs"
                        )
                for table in reversed(tables):
                    remove(here, table, tenant_id)
        finally:
            source.dispose()
            target.dispose()
        return counts


def _other_version(database: str) -> NotNow:
    """Workers of another version, or a wave under way, come to it."""
    return NotNow(f"{database} has the schema of another version.", code="other_version", retry_after=10.0)


def raw(session: Session) -> psycopg.Connection[Any]:
    """The psycopg connection of a session's transaction."""
    connection: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


def _opened(dsn: str) -> Database:
    return Database(dsn, pool_size=1, application_name="nexus tenant life", idle_limit=600.0)


def _counted(rows: Any, told: Digest, tenant_id: UUID) -> Any:
    """The rows for `load`, each told to the digest on its way; what is sealed stays so: the tenant and its keys are the same."""
    row: Row
    for row in rows:
        told.add(row.line)
        sealed = {column: None if value is None else f"\\x{bytes(value).hex()}" for column, value in row.sealed.items()}
        yield row.line, {"tenant_id": str(tenant_id), **sealed}
