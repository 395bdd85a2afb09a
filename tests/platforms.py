"""A small platform of a test's own: its operator, a pooled and a dedicated tenant with rows and objects, a person who can log in."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import func

from config.settings import Settings
from domain.identity.passwords import hash_password
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.platform import User
from tasks.recovery import back_up
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.database import Database
from tenancy.migrations import upgrade
from tenancy.places import OwnDatabase
from tenancy.provisioning import Provisioner, create_tenant
from tenancy.scopes import tenant_scope, user_scope
from tenancy.servers import create_database as create_database_named
from tenancy.servers import platform_database, with_database
from tests.conftest import Cluster, claim_context, create_database, settings_for

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"

Rows = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Platform:
    """`superuser` is a DSN that no policy binds."""

    settings: Settings
    tenancy: Tenancy
    superuser: str
    operator: UUID
    pooled: UUID
    dedicated: UUID

    @property
    def tenants(self) -> tuple[UUID, UUID]:
        return self.pooled, self.dedicated

    def ping(self, tenant_id: UUID) -> UUID:
        """A job that waits."""
        return submit(self.tenancy, NewJob("system.ping", {"message": "once"}, system("test", tenant_id))).id

    def back_up(self) -> UUID:
        """A backup, made as a worker would; its id."""
        who = system("operator", self.operator)
        job = submit(self.tenancy, NewJob("platform.backup", {"requested_by": "test"}, who))
        context, payload = claim_context(self.tenancy, job.id, who, 600)
        back_up(context, payload)
        return job.id

    def rows(self, database: str) -> Rows:
        """Every row of a database, as nobody but a superuser sees it."""
        return rows_of(self.superuser, database)


@contextmanager
def small_platform(cluster: Cluster, name: str, home: Path, **variables: Any) -> Iterator[Platform]:
    """One in a database of that name of the cluster."""
    create_database(cluster, name)
    settings = settings_for(
        cluster, name, home, **{"NEXUS_DEFAULT_TIER": "pooled", "NEXUS_BACKUP_FOLDER": home / "kept", **variables}
    )
    with (cluster.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = prepare(settings)
    with populated(settings, cluster.postgres.superuser_dsn, made.operator_tenant_id) as platform:
        yield platform


@contextmanager
def populated(settings: Settings, superuser: str, operator: UUID) -> Iterator[Platform]:
    """A platform that was prepared, with tenants."""
    tenancy = Tenancy(settings, "engine")
    _provision(settings, tenancy, operator)
    owner = new_id()
    web = Tenancy(settings, "web")
    with web.platform.session(user_scope(owner)) as session:
        session.add(
            User(id=owner, email=EMAIL, name="Ada", password_hash=hash_password(PASSWORD), email_verified_at=func.now())
        )
    tenants = [_tenant(settings, tenancy, web, owner, tier) for tier in ("pooled", "dedicated")]
    web.dispose()
    try:
        yield Platform(settings, tenancy, superuser, operator, *tenants)
    finally:
        tenancy.dispose()


def rows_of(superuser: str, database: str) -> Rows:
    """Every row of every table of a database."""
    found: dict[str, list[dict[str, Any]]] = {}
    with psycopg.connect(psycopg.conninfo.make_conninfo(superuser, dbname=database)) as connection:
        connection.execute("SET timezone = 'UTC'")
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition ORDER BY 1"
        ).fetchall()
        for (name,) in names:
            query = sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)::text").format(sql.Identifier(name))
            found[name] = [row[0] for row in connection.execute(query)]
    return found


def _tenant(settings: Settings, tenancy: Tenancy, web: Tenancy, owner: UUID, tier: str) -> UUID:
    tenant_id = new_id()
    with web.platform.session(user_scope(owner, tenant_id)) as session:
        create_tenant(session, web.ring, name=f"Acme {tier}", tier=tier, owner_id=owner, tenant_id=tenant_id)
    _provision(settings, tenancy, tenant_id)
    with tenancy.session(tenant_id) as session:
        for number in range(30):
            session.connection().exec_driver_sql(
                "INSERT INTO documents (tenant_id, id, external_id, title, body) VALUES (%s, %s, %s, %s, %s)",
                (tenant_id, new_id(), f"d{number}", f"tab\there {tier}", "line\nbreak \\. \\N ü"),
            )
    tenancy.bucket(tenant_id).put("reports/2026.bin", bytes(range(256)) * 5000)
    tenancy.bucket(tenant_id).put("empty", b"")
    return tenant_id


def _provision(settings: Settings, tenancy: Tenancy, tenant_id: UUID) -> None:
    saga = Provisioner(settings, tenancy, tenant_id)
    for _, step in saga.steps():
        step()
    saga.close()


def drop_databases(platform: Platform) -> None:
    """Destroy what the platform has on its server, as far as it is not shared."""
    names = [f"nexus_t_{platform.dedicated.hex}", database_of(platform), f"{database_of(platform)}_pool"]
    with psycopg.connect(platform.superuser, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def database_of(platform: Platform) -> str:
    """The name of its platform database."""
    return platform_database(platform.settings)


def hold_behind(settings: Settings, tenancy: Tenancy, tenant_id: UUID, revision: str) -> None:
    """Put a dedicated tenant, without its rows, to an older revision of the tenant schema."""
    record = tenancy.record(tenant_id)
    place = OwnDatabase(settings, tenant_id, record.vault, record.dsn)
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")
    with owner.connect() as connection:

        def server() -> AbstractContextManager[psycopg.Connection[Any]]:
            return nullcontext(connection)

        place.drop(server)
        create_database_named(connection, place.database)
        database = Database(with_database(settings, place.database), pool_size=1, application_name="test")
        upgrade("tenant", database, to=revision)
        database.dispose()
        for _, step in place.steps(server):  # the clone is there
            step()
    tenancy.platform.fetch(
        "UPDATE tenants SET schema_version = %(revision)s, version = version + 1 WHERE id = %(id)s",
        {"revision": revision, "id": tenant_id}, tenant_scope(tenant_id),
    )  # fmt: skip
    tenancy.directory.forget(tenant_id)
