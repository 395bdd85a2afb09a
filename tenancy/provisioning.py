"""Making a tenant: rows on the platform first, then a saga of idempotent steps on the servers.

Names and passwords are derived from the tenant's data key: unguessable, and the same again after a crash, so that a step
that ran and was not recorded is simply found done. Making and unmaking exclude each other (`tenancy.seizing`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy.orm import Session

from config.settings import Settings, with_credentials
from domain.errors import Transient
from domain.identity.permissions import SYSTEM_ROLES
from domain.ids import new_id
from models.platform import Membership, MembershipRole, Role, RolePermission, Tenant, TenantKey
from tenancy.access import Tenancy
from tenancy.audit import record
from tenancy.database import Database, Row, tenant_scope
from tenancy.directory import BucketAddress
from tenancy.migrations import head
from tenancy.seizing import seize
from tenancy.servers import (
    clone_template,
    ensure_login_role,
    grant_tables,
    pool_database,
    pool_dsn,
    restrict_connect,
    with_database,
)
from tenancy.vault import MasterRing, Vault, data_key_place, new_data_key


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant that was inserted, with the keys that its first job is sealed with."""

    id: UUID
    vault: Vault


def create_tenant(
    session: Session,
    ring: MasterRing,
    *,
    name: str,
    tier: str,
    owner_id: UUID,
    tenant_id: UUID,
    is_operator: bool = False,
) -> NewTenant:
    """Insert the tenant, its first data key, the system roles and the owner's membership; flushes, does not commit.

    The session's scope must name `tenant_id`, which the caller makes (`new_id()`), because only that tenant's rows can be
    written.
    """
    key = new_data_key()
    master_key_id, wrapped = ring.wrap(key, data_key_place(tenant_id, 1))
    session.add(Tenant(id=tenant_id, name=name, tier=tier, is_operator=is_operator, created_by=owner_id))
    session.flush()
    session.add(TenantKey(tenant_id=tenant_id, version=1, master_key_id=master_key_id, wrapped=wrapped))
    roles = {name: Role(tenant_id=tenant_id, id=new_id(), name=name, is_system=True) for name in SYSTEM_ROLES}
    session.add_all(roles.values())
    session.add(Membership(tenant_id=tenant_id, user_id=owner_id))
    session.flush()
    session.add_all(
        RolePermission(tenant_id=tenant_id, role_id=roles[role].id, permission=permission)
        for role, permissions in SYSTEM_ROLES.items()
        for permission in sorted(permissions)
    )
    session.add(MembershipRole(tenant_id=tenant_id, user_id=owner_id, role_id=roles["owner"].id))
    session.flush()
    record(session, "tenant.created", f"tenant:{tenant_id}", after={"name": name, "tier": tier, "owner_id": owner_id})
    return NewTenant(tenant_id, Vault(tenant_id, {1: key}))


Step = Callable[[], None]

MARK = ".nexus"
"""The object that shows that the bucket works: the only one that provisioning makes."""


def _anyone() -> None:
    """Outside a job there is no lease to lose."""


class Provisioner:
    """The saga of one tenant. Each step may run again; `compensate` undoes them all.

    `confirm` raises if the caller may no longer act, for example because its job's lease was lost. It is asked once
    nobody else can act on the tenant. From then on the tenant's `version` fences: the rows of a saga that another one
    has overtaken are not written.
    """

    def __init__(self, settings: Settings, tenancy: Tenancy, tenant_id: UUID, confirm: Callable[[], None] = _anyone):
        self._settings = settings
        self._tenancy = tenancy
        self._tenant_id = tenant_id
        self._confirm = confirm
        record = tenancy.record(tenant_id)
        self._tier = record.tier
        self._vault = record.vault
        self._version = record.version
        self._owner = Database(settings.owner_dsn, pool_size=1, application_name="nexus provisioning")
        self._seized: psycopg.Connection[Any] | None = None
        self.database = f"nexus_t_{tenant_id.hex}"
        self.role = f"nexus_r_{self._derived('role')[:24]}"
        self._password = self._derived("password")

    def steps(self) -> list[tuple[str, Step]]:
        """The steps in order, each with the words that progress shows."""
        if self._tier == "pooled":
            place = [("use the pooled database", self._use_pool)]
        else:
            place = [
                ("create the login role", self._create_role),
                ("clone the database", self._create_database),
                ("grant", self._grant),
            ]
        return [
            ("begin", self._begin),
            *place,
            ("create the bucket", self._create_bucket),
            ("activate", self._activate),
        ]

    def compensate(self, reason: str) -> bool:
        """Mark the tenant `failed`, for `reason`, and remove what the steps made; False if it needs no undoing.

        Only a tenant that never became active is undone. The mark `undoing` stays until all is removed.
        """
        marks = json.dumps({"failure": reason, "undoing": True})
        if not self._take(
            "UPDATE tenants SET state = 'failed', version = version + 1, dsn_sealed = NULL,"
            "       settings = settings || %(marks)s::jsonb"
            " WHERE id = %(id)s AND (state = 'provisioning' OR state = 'failed' AND settings -> 'undoing' IS NOT NULL)"
            " RETURNING version",
            marks=marks,
        ):
            return False
        if self._tier != "pooled":
            with self._server() as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.database))
                )
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(self.role)))
        if self._tenancy.record(self._tenant_id).bucket is not None:
            self._tenancy.bucket(self._tenant_id).delete(MARK)
        self._update(
            "UPDATE tenants SET settings = settings - 'undoing', bucket_sealed = NULL, database_name = NULL,"
            "       schema_version = NULL"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version"
        )
        return True

    def close(self) -> None:
        """Close the owner's connections, and let others act on the tenant."""
        if self._seized is not None:
            self._seized.close()
        self._owner.dispose()

    def _begin(self) -> None:
        if not self._take(
            "UPDATE tenants SET state = 'provisioning', version = version + 1,"
            "       settings = settings - 'failure' - 'undoing'"
            " WHERE id = %(id)s AND state IN ('provisioning', 'failed') RETURNING version"
        ):
            raise _superseded()

    def _take(self, statement: LiteralString, **parameters: Any) -> bool:
        """Shut out everybody else, then raise the tenant's version; False if it is not in a state for that."""
        with self._server():
            self._confirm()
        rows = self._write(statement, parameters)
        if rows:
            self._version = rows[0]["version"]
        return bool(rows)

    @contextmanager
    def _server(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection that holds the tenant's lock. Raises `Transient` when it is lost, or was taken over."""
        try:
            if self._seized is None:
                self._seized = seize(self._owner, self._tenant_id)
            yield self._seized
        except psycopg.OperationalError as error:
            raise Transient("The tenant's database server failed.", code="server_unavailable") from error

    def _create_role(self) -> None:
        with self._server() as connection:
            ensure_login_role(connection, self.role, self._password)

    def _create_database(self) -> None:
        with self._server() as connection:
            clone_template(connection, self.database)

    def _grant(self) -> None:
        with self._server() as connection:
            restrict_connect(connection, self.database, self.role)
            grant_tables(with_database(self._settings, self.database), self.role)
        self._record_dsn(
            with_credentials(self._settings.owner_dsn, self.role, self._password, self.database), self.database
        )

    def _use_pool(self) -> None:
        self._record_dsn(pool_dsn(self._settings), pool_database(self._settings))

    def _record_dsn(self, dsn: str, database: str) -> None:
        self._update(
            "UPDATE tenants SET dsn_sealed = %(dsn)s, database_name = %(database)s, schema_version = %(schema)s"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version",
            dsn=self._vault.seal(dsn.encode(), "tenants", "dsn_sealed", self._tenant_id),
            database=database,
            schema=head("tenant"),
        )

    def _create_bucket(self) -> None:
        if self._settings.s3_bucket is None:
            address = BucketAddress(name=f"t-{self._tenant_id.hex}")
        else:
            address = BucketAddress(name=self._settings.s3_bucket, prefix=f"t/{self._tenant_id.hex}")
        sealed = self._vault.seal(json.dumps(asdict(address)).encode(), "tenants", "bucket_sealed", self._tenant_id)
        self._update(
            "UPDATE tenants SET bucket_sealed = %(sealed)s WHERE id = %(id)s AND version = %(version)s RETURNING version",
            sealed=sealed,
        )
        bucket = self._tenancy.bucket(self._tenant_id)
        bucket.put(MARK, b"This place belongs to one tenant.\n", "text/plain")

    def _activate(self) -> None:
        with self._tenancy.session(self._tenant_id) as session:
            session.connection().exec_driver_sql("SELECT 1 FROM applied_jobs LIMIT 1")
        self._update(
            "UPDATE tenants SET state = 'active', version = version + 1"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version"
        )

    def _update(self, statement: LiteralString, **parameters: Any) -> None:
        """Write to the tenant's row as long as its version is the one that this saga raised it to."""
        if not self._write(statement, {**parameters, "version": self._version}):
            raise _superseded()

    def _write(self, statement: LiteralString, parameters: dict[str, Any]) -> list[Row]:
        rows = self._tenancy.platform.fetch(
            statement, {**parameters, "id": self._tenant_id}, tenant_scope(self._tenant_id)
        )
        self._tenancy.directory.forget(self._tenant_id)
        return rows

    def _derived(self, what: str) -> str:
        first = self._vault.keys[min(self._vault.keys)]
        return hmac.new(first, f"provisioning {what}".encode(), hashlib.sha256).hexdigest()


def _superseded() -> Transient:
    return Transient("Something else has changed the tenant meanwhile.", code="provisioning_superseded")
