"""Making a tenant: rows on the platform first, then a saga of idempotent steps on the servers.

A step that ran and was not recorded is simply found done (`tenancy.places`). Making and unmaking exclude each other (`tenancy.seizing`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from uuid import UUID

from sqlalchemy.orm import Session

from config.settings import Settings
from domain.errors import JobError
from domain.identity.permissions import SYSTEM_ROLES
from domain.ids import new_id
from models.platform import Membership, MembershipRole, Role, RolePermission, Tenant, TenantKey
from tenancy.access import Tenancy
from tenancy.audit import record
from tenancy.directory import BucketAddress, TenantRecord
from tenancy.external import OwnServer
from tenancy.holding import Hold, anyone, superseded
from tenancy.migrations import head
from tenancy.places import OwnDatabase, Place, Pool, Step
from tenancy.vault import MasterRing, Vault, data_key_place, new_data_key


@dataclass(frozen=True, slots=True)
class OwnPlace:
    """What an external tenant brings: the account that may make our schema on its server, and perhaps a bucket."""

    server_dsn: str = field(repr=False)
    bucket: BucketAddress | None = None


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
    own: OwnPlace | None = None,
) -> NewTenant:
    """Insert the tenant, its first data key, the system roles and the owner's membership; flushes, does not commit.

    The session's scope must name `tenant_id`, which the caller makes (`new_id()`), because only that tenant's rows can be
    written.
    """
    key = new_data_key()
    master_key_id, wrapped = ring.wrap(key, data_key_place(tenant_id, 1))
    tenant = Tenant(id=tenant_id, name=name, tier=tier, is_operator=is_operator, created_by=owner_id)
    vault = Vault(tenant_id, {1: key})
    if own is not None:
        tenant.server_sealed = vault.seal(own.server_dsn.encode(), "tenants", "server_sealed", tenant_id)
        if own.bucket is not None:
            address = json.dumps(asdict(own.bucket)).encode()
            tenant.bucket_sealed = vault.seal(address, "tenants", "bucket_sealed", tenant_id)
    session.add(tenant)
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
    return NewTenant(tenant_id, vault)


MARK = ".nexus"
"""The object that shows that the bucket works: the only one that provisioning makes."""


class Provisioner:
    """The saga of one tenant. Each step may run again; `compensate` undoes them all.

    `confirm` raises if the caller may no longer act, for example because its job's lease was lost. It is asked once
    nobody else can act on the tenant (`tenancy.holding`).
    """

    def __init__(self, settings: Settings, tenancy: Tenancy, tenant_id: UUID, confirm: Callable[[], None] = anyone):
        self._settings = settings
        self._tenancy = tenancy
        self._tenant_id = tenant_id
        record = tenancy.record(tenant_id)
        self._vault = record.vault
        self._hold = Hold(settings, tenancy, tenant_id, confirm)
        self.place = place_of(settings, record)
        self.database = self.place.database

    def steps(self) -> list[tuple[str, Step]]:
        """The steps in order, each with the words that progress shows."""
        return [
            ("begin", self._begin),
            *self._place_steps(),
            ("create the bucket", self._create_bucket),
            ("activate", self._activate),
        ]

    def compensate(self, reason: str) -> bool:
        """Mark the tenant `failed`, for `reason`, and remove what the steps made; False if it needs no undoing.

        Only a tenant that never became active is undone. The mark `undoing` stays until all is removed.
        """
        marks = json.dumps({"failure": reason, "undoing": True})
        if not self._hold.take(
            "UPDATE tenants SET state = 'failed', version = version + 1, dsn_sealed = NULL,"
            "       settings = settings || %(marks)s::jsonb"
            " WHERE id = %(id)s AND (state = 'provisioning' OR state = 'failed' AND settings -> 'undoing' IS NOT NULL)"
            " RETURNING version",
            marks=marks,
        ):
            return False
        self.place.drop(self._hold.server)
        self._remove_mark()
        self._hold.update(
            "UPDATE tenants SET settings = settings - 'undoing', database_name = NULL,"
            "       bucket_sealed = CASE WHEN tier = 'external' THEN bucket_sealed END,"
            "       schema_version = NULL"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version"
        )
        return True

    def _remove_mark(self) -> None:
        record = self._tenancy.record(self._tenant_id)
        if record.bucket is None:
            return
        try:
            self._tenancy.bucket(self._tenant_id).delete(MARK)
        except JobError:
            if record.tier != "external":
                raise  # ours will be back; what is wrong with theirs may be why the tenant cannot be made

    def close(self) -> None:
        """Close the owner's connections, and let others act on the tenant."""
        self._hold.close()

    def _begin(self) -> None:
        if not self._hold.take(
            "UPDATE tenants SET state = 'provisioning', version = version + 1,"
            "       settings = settings - 'failure' - 'undoing'"
            " WHERE id = %(id)s AND state IN ('provisioning', 'failed') RETURNING version"
        ):
            raise superseded()

    def _place_steps(self) -> list[tuple[str, Step]]:
        """The place's own, the last of which notes where it is."""
        *first, (name, last) = self.place.steps(self._hold.server)

        def finish() -> None:
            last()
            self._note_place()

        return [*first, (name, finish)]

    def _note_place(self) -> None:
        self._hold.update(
            "UPDATE tenants SET dsn_sealed = %(dsn)s, database_name = %(database)s, schema_version = %(schema)s"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version",
            dsn=self._vault.seal(self.place.dsn.encode(), "tenants", "dsn_sealed", self._tenant_id),
            database=self.place.database,
            schema=head("tenant"),
        )

    def _create_bucket(self) -> None:
        given = self._tenancy.record(self._tenant_id).bucket
        if given is not None and given.access_key is not None:
            address = given
        elif self._settings.s3_bucket is None:
            address = BucketAddress(name=f"t-{self._tenant_id.hex}")
        else:
            address = BucketAddress(name=self._settings.s3_bucket, prefix=f"t/{self._tenant_id.hex}")
        sealed = self._vault.seal(json.dumps(asdict(address)).encode(), "tenants", "bucket_sealed", self._tenant_id)
        self._hold.update(
            "UPDATE tenants SET bucket_sealed = %(sealed)s WHERE id = %(id)s AND version = %(version)s RETURNING version",
            sealed=sealed,
        )
        bucket = self._tenancy.bucket(self._tenant_id)
        bucket.put(MARK, b"This place belongs to one tenant.\n", "text/plain")

    def _activate(self) -> None:
        with self._tenancy.session(self._tenant_id) as session:
            session.connection().exec_driver_sql("SELECT 1 FROM applied_jobs LIMIT 1")
        self._hold.update(
            "UPDATE tenants SET state = 'active', version = version + 1"
            " WHERE id = %(id)s AND version = %(version)s RETURNING version"
        )


def place_of(settings: Settings, record: TenantRecord, tier: str | None = None) -> Place:
    """Where a tenant of that tier lives; without one, of its own tier."""
    if (tier or record.tier) == "pooled":
        return Pool(settings)
    if (tier or record.tier) == "external":
        return OwnServer(settings, record)
    return OwnDatabase(settings, record.id, record.vault, record.dsn if record.tier == "dedicated" else None)
