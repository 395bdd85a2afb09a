"""Tenants that were there before events: their system roles get the new permissions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from alembic import command

from domain.ids import new_id
from tenancy.database import Database
from tenancy.migrations import config, upgrade
from tests.conftest import Cluster, create_database


@pytest.fixture
def old(cluster: Cluster, worker_id: str) -> Iterator[tuple[Database, str]]:
    """A platform database of the first release; the owner's door, and the superuser's address."""
    name = f"nexus_old_{worker_id}"
    create_database(cluster, name)
    dsn = cluster.postgres.dsn.replace("/nexus_platform?", f"/{name}?")
    database = Database(dsn, pool_size=1, application_name="test")
    with database.engine.begin() as connection:
        configuration = config("platform")
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0001")
    yield database, psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=name)
    database.dispose()


@pytest.mark.usefixtures("settings")  # the groups that migrations grant to
def test_system_roles_of_older_tenants_may_use_endpoints_and_own_roles_are_left_alone(
    old: tuple[Database, str],
) -> None:
    database, superuser = old
    tenant = new_id()
    with psycopg.connect(superuser) as connection:
        connection.execute("INSERT INTO tenants (id, name, tier) VALUES (%s, 'Old', 'pooled')", (tenant,))
        for name, is_system in (("owner", True), ("viewer", True), ("custom", False)):
            connection.execute(
                "INSERT INTO roles (tenant_id, id, name, is_system) VALUES (%s, %s, %s, %s)",
                (tenant, new_id(), name, is_system),
            )
    upgrade("platform", database)
    with psycopg.connect(superuser) as connection:
        granted = connection.execute(
            "SELECT r.name, p.permission FROM role_permissions p JOIN roles r ON r.id = p.role_id"
            " WHERE p.permission LIKE 'webhook_endpoint:%' OR p.permission = 'event:read'"
        ).fetchall()
        forced = connection.execute(
            "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('roles', 'role_permissions')"
        ).fetchone()
    assert {permission for name, permission in granted if name == "viewer"} == {"event:read", "webhook_endpoint:read"}
    assert len([permission for name, permission in granted if name == "owner"]) == 5
    assert [permission for name, permission in granted if name == "custom"] == []
    assert forced == (True,)
