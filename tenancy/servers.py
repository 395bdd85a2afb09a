"""What tenants stand on at the PostgreSQL server: databases and their names, login roles, and what a role may reach.

Each function may run again, and finds done what is done.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from config.settings import Settings, with_credentials
from tenancy.migrations import head


def template_name() -> str:
    """The template database of the newest tenant schema."""
    return f"nexus_tenant_v{head('tenant')}"


def pool_database(settings: Settings) -> str:
    """The database that this platform's pooled tenants share."""
    return f"{platform_database(settings)}_pool"


def pool_dsn(settings: Settings) -> str:
    """The pooled tenants' own account there: it owns nothing."""
    name, password = settings.login_role("nexus_pool")
    return with_credentials(settings.owner_dsn, name, password, pool_database(settings))


def platform_database(settings: Settings) -> str:
    """The name of the platform database."""
    return str(psycopg.conninfo.conninfo_to_dict(settings.owner_dsn)["dbname"])


def with_database(settings: Settings, database: str) -> str:
    """The owner's DSN for another database of the same server."""
    return str(psycopg.conninfo.make_conninfo(settings.owner_dsn, dbname=database))


def ensure_login_role(connection: psycopg.Connection[Any], name: str, password: str) -> None:
    """Create the role, without any privilege, or give it this password."""
    attributes = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}").format(
        sql.Literal(password)
    )
    try:
        connection.execute(sql.SQL("CREATE ROLE {} ").format(sql.Identifier(name)) + attributes)
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        )


def clone_template(connection: psycopg.Connection[Any], database: str) -> None:
    """Create the database from the newest template, unless it is there."""
    try:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template_name()))
        )
    except psycopg.errors.DuplicateDatabase:
        return


def create_database(connection: psycopg.Connection[Any], database: str) -> bool:
    """Create an empty database; False if it is there."""
    try:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    except psycopg.errors.DuplicateDatabase:
        return False
    return True


def drop_database(connection: psycopg.Connection[Any], database: str) -> None:
    """Drop the database, if it is there, and throw out whoever is connected to it.

    `FORCE` may end only processes of roles whose privileges the owner has, and autovacuum's are of none: it fails while one is
    at work there. The plain command ends autovacuum, and nobody else.
    """
    plain = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(database))
    try:
        connection.execute(plain + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND backend_type = 'client backend'",
            (database,),
        )
        connection.execute(plain)


def restrict_connect(connection: psycopg.Connection[Any], database: str, *roles: str) -> None:
    """Let only these roles (and the owner) connect."""
    name = sql.Identifier(database)
    connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    for role in roles:
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role)))


def grant_tables(owner_dsn: str, role: str) -> None:
    """As `grant_rows`, in the database that the owner's DSN names."""
    with psycopg.connect(owner_dsn, connect_timeout=5) as connection:
        grant_rows(connection, role)


def grant_rows(connection: psycopg.Connection[Any], role: str) -> None:
    """Rows, not schema: no `TRUNCATE`, which ignores policies, and no sight of the migration table."""
    name = sql.Identifier(role)
    for statement in (
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}"),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"),
        sql.SQL("REVOKE ALL ON alembic_version FROM {}"),
        sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}"),
    ):
        connection.execute(statement.format(name))
