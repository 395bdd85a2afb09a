"""The servers: PostgreSQL with its accounts and schema, its clock beside ours, Redis or RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.doctor.findings import Finding, bad, good, odd
from cli.embedded.preflight import address_problem, database_problem
from config.settings import Settings, SettingsError

if TYPE_CHECKING:  # the data layer is loaded when there is a database to look at
    from tenancy.database import Database

LATE_SECONDS = 2.0
"""A clock that differs by more makes schedules fire early or late, and tokens expire on the way."""

OLDEST_POSTGRES = 150_000

_QUESTION = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
       extract(epoch FROM clock_timestamp())::float8 AS clock, pg_is_in_recovery() AS in_recovery,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') AS has_vector,
       (SELECT rolcreaterole AND rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_make,
       current_setting('max_connections')::int AS most, (SELECT count(*) FROM pg_stat_activity)::int AS used
"""


def look(settings: Settings) -> Iterator[Finding]:
    """Everything that the settings name. What is unset is embedded and belongs to `nexus up`."""
    if settings.database_url is not None:
        yield from _postgres(settings)
    for name, url in (("REDIS_URL", settings.redis_url), ("BROKER_URL", settings.broker_url)):
        if url is not None:
            problem = address_problem(url.get_secret_value())
            yield (
                good(name, "answers")
                if problem is None
                else bad(name, problem, "start that server, or mend the address; until then " + _WITHOUT[name])
            )


_WITHOUT = {
    "REDIS_URL": "limits are counted per process and waits are told later",
    "BROKER_URL": "jobs are accepted and stay queued",
}


def _postgres(settings: Settings) -> Iterator[Finding]:
    problem = database_problem(settings.owner_dsn)
    if problem is not None:
        yield bad("DATABASE_URL", problem, "start the server, or mend host, password or database in the address")
        return
    import psycopg
    from psycopg.rows import dict_row

    before = time.time()
    with psycopg.connect(settings.owner_dsn, connect_timeout=5, autocommit=True, row_factory=dict_row) as connection:
        row = connection.execute(_QUESTION).fetchone() or {}
        between = (before + time.time()) / 2
        revision = _revision(connection)
    yield from _server(row, row["clock"] - between)
    yield from _platform(settings, revision)
    if revision is not None:
        yield from _accounts(settings)


def _server(row: dict[str, Any], ahead: float) -> Iterator[Finding]:
    version = row["version_text"]
    if row["version"] < OLDEST_POSTGRES:
        yield bad("PostgreSQL", f"{version} is too old", "use PostgreSQL 15 or newer")
    elif row["in_recovery"]:
        yield bad("PostgreSQL", "is a standby, which takes no writes", "name the primary in DATABASE_URL")
    elif not row["has_vector"]:
        yield bad("PostgreSQL", "has no pgvector", "install it, as Debian's postgresql-NN-pgvector; search needs it")
    elif not row["may_make"]:
        yield bad("PostgreSQL", "the account may not create roles and databases", "ALTER ROLE … CREATEROLE CREATEDB")
    else:
        yield good("PostgreSQL", f"{version}, pgvector, may create roles and databases")
    if row["used"] > row["most"] * 0.8:
        yield odd(
            "connections",
            f"{row['used']} of {row['most']} in use",
            "raise max_connections, or lower NEXUS_TENANT_ENGINE_LIMIT",
        )
    else:
        yield good("connections", f"{row['used']} of {row['most']} in use")
    if abs(ahead) > LATE_SECONDS:
        yield bad(
            "clock", f"the database is {ahead:+.1f} s from here", "set both by NTP: schedules and tokens go by them"
        )
    else:
        yield good("clock", f"{ahead * 1000:+.0f} ms from the database's")


def _revision(connection: Any) -> str | None:
    there = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL AS there").fetchone()["there"]
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if there else None
    return None if row is None else str(row["version_num"])


def _platform(settings: Settings, revision: str | None) -> Iterator[Finding]:
    """What stands in the database: its schema beside this version's, a restore that did not end, whose keys sealed it."""
    from tenancy.database import Database
    from tenancy.recognition import refuse_other_keys
    from tenancy.recovery.mark import refuse_half_restored

    owner = Database(settings.owner_dsn, pool_size=1, application_name="nexus doctor")
    try:
        yield _schema(owner, revision)
        try:
            refuse_half_restored(owner)
        except SettingsError as error:
            yield _told(error, "let `nexus restore` come to its end")
        if settings.master_keys is not None:
            try:
                refuse_other_keys(settings, owner)
                yield good("NEXUS_MASTER_KEYS", "open what the platform has sealed")
            except SettingsError as error:
                yield _told(
                    error, "take them from where they are kept apart from the database; nothing else opens its data"
                )
    finally:
        owner.dispose()


def _told(error: SettingsError, advice: str) -> Finding:
    name, _, rest = error.problems[0].partition(": ")
    return bad(name, rest, advice)


def _schema(owner: Database, revision: str | None) -> Finding:
    from tenancy.compatibility import misfits
    from tenancy.migrations import revisions

    known = revisions("platform")
    if revision is None:
        return odd("schema", "the database is empty", "run `nexus prepare` (`nexus up` does)")
    found = misfits(owner)
    if revision not in known and found:
        return bad(
            "schema",
            f"is at {revision}, of a newer version, and {found[0]} for this one",
            "install the newer version again, or restore a backup (docs/operations/upgrading.md)",
        )
    if revision not in known:
        return odd(
            "schema",
            f"is at {revision}, of a newer version than this one, which serves it as it is",
            "go on with the upgrade when what kept it is mended (docs/operations/upgrading.md)",
        )
    if found:
        return bad("schema", f"is at {revision}, and this version needs {known[0]}", "run `nexus prepare`")
    if revision != known[0]:
        return odd("schema", f"is at {revision}, and this version knows {known[0]}", "run `nexus prepare`")
    return good("schema", revision)


def _accounts(settings: Settings) -> Iterator[Finding]:
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from tenancy.access import Tenancy
    from tenancy.guard import refuse_privileges

    for door, variable in (("web", "DATABASE_WEB_URL"), ("engine", "DATABASE_ENGINE_URL")):
        tenancy = Tenancy(settings, door)  # type: ignore[arg-type]  # the two words that it knows
        try:
            refuse_privileges(tenancy.platform, variable)
        except SettingsError as error:
            yield bad(variable, error.problems[0], "use an application role: leave it unset, or see docs/isolation.md")
        except (SQLAlchemyError, psycopg.Error) as error:
            yield bad(
                variable,
                f"cannot log in: {str(error).splitlines()[0]}",
                "run `nexus prepare`, which makes the accounts; if it did, NEXUS_MASTER_KEYS were others then",
            )
        else:
            yield good(variable, "is bound by row-level security")
        finally:
            tenancy.dispose()
