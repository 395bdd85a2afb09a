"""The histories make what the models say, and running them again changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text

from config.settings import Settings
from domain.identity.permissions import SYSTEM_ROLES
from domain.ids import new_id
from models.base import PlatformBase, TenantBase
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.database import Database
from tenancy.migrations import config, head, upgrade
from tenancy.provisioning import Provisioner
from tenancy.scopes import tenant_scope
from tenancy.servers import pool_database, with_database
from tests.conftest import Cluster, create_database, settings_for


@pytest.mark.parametrize(
    ("history", "metadata"), [("platform", PlatformBase.metadata), ("tenant", TenantBase.metadata)]
)
def test_the_history_makes_what_the_models_say(settings: Settings, history: str, metadata: MetaData) -> None:
    dsn = settings.owner_dsn if history == "platform" else with_database(settings, pool_database(settings))
    database = Database(dsn, pool_size=1, application_name="test")
    with database.engine.connect() as connection:
        parts = set(
            connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')"))
        )
        options = {"compare_type": True, "include_name": lambda name, _type, _parents: name not in parts}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
    database.dispose()
    assert differences == []


def test_upgrading_what_is_current_changes_nothing(settings: Settings) -> None:
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")
    assert upgrade("platform", owner) == head("platform")
    owner.dispose()


def test_preparing_again_keeps_the_administrator_and_makes_none(settings: Settings) -> None:
    again = prepare(settings)
    assert again.administrator is None


@pytest.mark.usefixtures("prepared")  # the cluster has the platform's roles
def test_an_upgrade_gives_the_system_roles_of_tenants_that_are_there_the_permissions_they_have_in_new_ones(
    cluster: Cluster, tmp_path: Path
) -> None:
    create_database(cluster, "nexus_upgraded")
    owner = Database(settings_for(cluster, "nexus_upgraded", tmp_path).owner_dsn, pool_size=1, application_name="test")
    tenant_id = new_id()
    with owner.engine.begin() as connection:
        configuration = config("platform")
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0001")
        connection.exec_driver_sql("SELECT set_config('nexus.tenant_id', %s, true)", (str(tenant_id),))
        connection.exec_driver_sql("INSERT INTO tenants (id, name, tier) VALUES (%s, 'Old', 'pooled')", (tenant_id,))
        for name in SYSTEM_ROLES:
            role = (tenant_id, new_id(), name)
            connection.exec_driver_sql(
                "INSERT INTO roles (tenant_id, id, name, is_system) VALUES (%s, %s, %s, true)", role
            )
        made = (tenant_id, new_id())
        connection.exec_driver_sql("INSERT INTO roles (tenant_id, id, name) VALUES (%s, %s, 'made')", made)
    upgrade("platform", owner)
    query = (
        "SELECT r.name, p.permission FROM roles r JOIN role_permissions p ON p.role_id = r.id AND p.tenant_id = r.tenant_id"
        " WHERE p.permission LIKE 'schedule:%%'"
    )
    found = {(row["name"], row["permission"]) for row in owner.fetch(query, {}, tenant_scope(tenant_id))}
    unseen = owner.fetch(query, {})
    owner.dispose()
    assert found == {
        (role, permission)
        for role, permissions in SYSTEM_ROLES.items()
        for permission in permissions
        if permission.startswith("schedule:")
    }
    assert unseen == []


@pytest.mark.parametrize("stop_after", range(6))
def test_provisioning_resumes_wherever_it_was_killed(
    engine_tenancy: Tenancy, make_tenant_row: Callable[[str], UUID], stop_after: int
) -> None:
    """Each step has run once, some twice: the tenant works all the same."""
    tenant_id = make_tenant_row("dedicated")
    for killed in (True, False):
        saga = Provisioner(engine_tenancy.settings, engine_tenancy, tenant_id)
        for _, step in saga.steps()[: stop_after if killed else None]:
            step()
        saga.close()
    engine_tenancy.directory.forget(tenant_id)
    assert engine_tenancy.record(tenant_id).state == "active"
    with engine_tenancy.session(tenant_id) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0
    assert engine_tenancy.bucket(tenant_id).exists(".nexus")


def test_a_tenant_that_cannot_be_made_is_undone_and_says_why(
    engine_tenancy: Tenancy, make_tenant_row: Callable[[str], UUID]
) -> None:
    tenant_id = make_tenant_row("dedicated")
    saga = Provisioner(engine_tenancy.settings, engine_tenancy, tenant_id)
    for _, step in saga.steps()[:4]:
        step()
    saga.compensate("the disk is full")
    saga.close()
    row = engine_tenancy.platform.fetch(
        "SELECT state, settings, dsn_sealed FROM tenants WHERE id = %(id)s", {"id": tenant_id}
    )[0]
    assert (row["state"], row["settings"]["failure"], row["dsn_sealed"]) == ("failed", "the disk is full", None)
    left = engine_tenancy.platform.fetch("SELECT 1 FROM pg_database WHERE datname = %(name)s", {"name": saga.database})
    assert left == []
