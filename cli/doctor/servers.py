"""The servers: PostgreSQL with its accounts and schema, its clock beside ours, Redis or RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cli.doctor.findings import Finding, bad, good, odd
from cli.embedded.preflight import address_problem, database_problem
from config.settings import Settings, SettingsError

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
    yield _schema(revision)
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


def _schema(revision: str | None) -> Finding:
    from tenancy.migrations import revisions

    known = revisions("platform")
    if revision is None:
        return odd("schema", "the database is empty", "run `nexus prepare` (`nexus up` does)")
    if revision not in known:
        return bad(
            "schema",
            f"is at {revision}, which this version does not know: it is newer",
            "install the newer version again, or restore a backup",
        )
    if revision != known[0]:
        return odd(
            "schema",
            f"is at {revision}, and this version knows {known[0]}",
            "run `nexus prepare` (`nexus up` does)",
        )
    return good("schema", revision)


def _accounts(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from tenancy.access import Tenancy

    for door, variable in (("web", "DATABASE_WEB_URL"), ("engine", "DATABASE_ENGINE_URL")):
        tenancy = Tenancy(settings, door)  # type: ignore[arg-type]  # the two words that it knows
        try:
            tenancy.check()
        except SettingsError as error:
            yield bad(variable, error.problems[0], "use an application role: leave it unset, or see docs/isolation.md")
        except SQLAlchemyError as error:
            yield bad(
                variable,
                f"cannot log in: {str(error).splitlines()[0]}",
                "run `nexus prepare`, which makes the accounts",
            )
        else:
            yield good(variable, "is bound by row-level security")
        finally:
            tenancy.dispose()
