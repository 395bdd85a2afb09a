"""Preparing the servers: roles, schemas, the tenant template, the pool, the first administrator. Runs at every start.

Only this and provisioning use the owner's account. Everything is idempotent, and one runner at a time holds a lock.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError as SQLAlchemyOperationalError

from config.settings import ENGINE_ROLE, WEB_ROLE, Settings, SettingsError
from domain.errors import JobError
from domain.identity.emails import normalise_email
from domain.identity.passwords import hash_password
from domain.ids import new_id
from models.platform import Tenant, User
from providers.storage.making import make_buckets
from tenancy.budget import check_budget
from tenancy.compatibility import misfits, newer
from tenancy.database import Database
from tenancy.identity.signing_keys import ensure_signing_key
from tenancy.masters import open_ring
from tenancy.migrations import NewerSchema, upgrade
from tenancy.provisioning import create_tenant
from tenancy.recognition import refuse_other_keys
from tenancy.recovery import mark
from tenancy.recovery.reading import let_backups_read
from tenancy.scopes import operator_scope, user_scope
from tenancy.servers import (
    clone_template,
    drop_database,
    ensure_login_role,
    grant_tables,
    platform_database,
    pool_database,
    restrict_connect,
    template_name,
    with_database,
)

DEFAULT_ADMIN = "admin@example.com"

PLANNING = {"enable_seqscan": "off", "random_page_cost": "1.1", "jit": "off"}
"""How the applications' statements are planned. A connection keeps a statement's plan, and one that was made while the queue
was empty would read the whole queue for each claim once it is deep. With these an index is used where there is one."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """The first operator. `password` is there only when it was made up, and is shown once."""

    email: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """`administrator` is None on a platform that had one. The operator tenant may still have to be provisioned. `notices` are what
    an operator should know, a line each.
    """

    administrator: Administrator | None
    operator_tenant_id: UUID
    operator_owner_id: UUID
    notices: tuple[str, ...] = ()


def prepare(settings: Settings) -> Prepared:
    """Bring the servers to what this version of the code needs.

    Raises `SettingsError` with one line if the server cannot be reached or the account may not do what is needed.
    """
    owner = Database(settings.owner_dsn, pool_size=2, application_name="nexus prepare")
    try:
        with alone(owner) as connection:
            mark.refuse_half_restored(owner)
            refuse_other_keys(settings, owner)
            check_budget(settings, connection)
            make_accounts(connection, settings)
            notices = [*_upgrade_platform(owner), *_make_buckets(settings)]
            let_backups_read(connection)
            ensure_template(connection, settings)
            ensure_pool(connection, settings)
        return replace(_ensure_administrator(settings), notices=tuple(notices))
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingsError(f"DATABASE_URL: the account may not prepare the server: {_first_line(error)}") from None
    except (psycopg.OperationalError, SQLAlchemyOperationalError) as error:
        raise SettingsError(f"DATABASE_URL: the database cannot be reached: {_first_line(error)}") from None
    finally:
        owner.dispose()


def _upgrade_platform(owner: Database) -> list[str]:
    """To this version's schema. One that a newer version has migrated is left as it is and served, if that can be.

    Raises `SettingsError` if it cannot.
    """
    try:
        upgrade("platform", owner)
    except NewerSchema as error:
        if found := misfits(owner):
            raise SettingsError(newer(error.revision, found[0])) from None
        return [
            f"the platform's schema is at {error.revision}, of a newer version than this one, which serves it as it is"
        ]
    return []


def _make_buckets(settings: Settings) -> list[str]:
    """A new object store has no bucket. One that is away, or where we may make none, is told and keeps nothing from starting."""
    try:
        make_buckets(settings)
    except JobError as error:
        return [f"S3_BUCKET: {error.detail}"]
    return []


def ensure_template(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Build the tenant template of the newest schema. It gets its name last, so a crash leaves no half-made template.

    Advisory locks are per database, so another platform on this server may build it at the same time: the first name counts.
    """
    name = template_name()
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        return
    platform = hashlib.sha256(platform_database(settings).encode()).hexdigest()[:8]
    building = f"{name}_building_{platform}"
    drop_database(connection, building)
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
    database = Database(with_database(settings, building), pool_size=1, application_name="nexus template")
    try:
        upgrade("tenant", database)
    finally:
        database.dispose()
    restrict_connect(connection, building)
    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(building)))
    try:
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(name))
        )
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        drop_database(connection, building)


@contextmanager
def alone(owner: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the owner; nobody else prepares or restores the platform meanwhile."""
    with owner.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('nexus prepare'))")
        yield connection


def make_accounts(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """The applications' groups and this platform's login role in each; nobody else may connect to its database."""
    _create_groups(connection)
    roles = [_create_login(connection, settings, group) for group in (WEB_ROLE, ENGINE_ROLE)]
    restrict_connect(connection, platform_database(settings), *roles)


def _create_groups(connection: psycopg.Connection[Any]) -> None:
    for group in (WEB_ROLE, ENGINE_ROLE):
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (group,)).fetchone() is None:
            try:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(group)))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                continue  # another platform on this server made it just now


def _create_login(connection: psycopg.Connection[Any], settings: Settings, group: str) -> str:
    name, password = settings.login_role(group)
    ensure_login_role(connection, name, password)
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
    for setting, value in PLANNING.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                sql.Identifier(name), sql.Identifier(setting), sql.Literal(value)
            )
        )
    return name


def ensure_pool(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """The database that pooled tenants share, and their account there."""
    database = pool_database(settings)
    name, password = settings.login_role("nexus_pool")
    ensure_login_role(connection, name, password)
    clone_template(connection, database)  # one that is there is migrated by a wave, as every tenant's database
    restrict_connect(connection, database, name)
    grant_tables(with_database(settings, database), name)


def _ensure_administrator(settings: Settings) -> Prepared:
    web = Database(settings.web_dsn, pool_size=1, application_name="nexus prepare")
    ring = open_ring(settings)
    try:
        ensure_signing_key(web, ring)
        with web.session(operator_scope()) as session:
            tenant = session.scalar(select(Tenant).where(Tenant.is_operator))
        if tenant is not None and tenant.created_by is not None:
            return Prepared(None, tenant.id, tenant.created_by)
        email = normalise_email(settings.admin_email or DEFAULT_ADMIN)
        preset = settings.admin_password.get_secret_value() if settings.admin_password else None
        password = preset or secrets.token_urlsafe(18)
        user_id, tenant_id = new_id(), new_id()
        with web.session(user_scope(user_id, tenant_id)) as session:
            session.add(
                User(
                    id=user_id,
                    email=email,
                    name="Administrator",
                    password_hash=hash_password(password),
                    is_operator=True,
                    email_verified_at=func.now(),
                )
            )
            session.flush()
            create_tenant(
                session, ring, name="Operator", tier=settings.default_tier, owner_id=user_id, tenant_id=tenant_id,
                is_operator=True,
            )  # fmt: skip
        return Prepared(Administrator(email, None if preset else password), tenant_id, user_id)
    finally:
        web.dispose()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
