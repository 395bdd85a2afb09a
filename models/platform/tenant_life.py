"""What a tenant's life leaves behind: archives, quotas and their use, the certificate of its erasure."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, Owned, PlatformBase

WrappedKey = bytes
"""By another name, since the table has a column `bytes`."""


class TenantArchive(Owned, Created, PlatformBase):
    """An archive in the tenant's bucket, made by `export` or `backup`, or brought by `upload`.

    `source_tenant_id` is whose data it holds and `taken_at` the moment of it. `bytes` and `sha256` are the file's. `wrapped` is
    the archive's own key under the master key `master_key_id`: the file names the one of its time, this one is rewrapped.
    """

    __tablename__ = "tenant_archives"
    __table_args__ = (
        CheckConstraint("kind IN ('export', 'backup', 'upload')", name="kind"),
        CheckConstraint("state IN ('writing', 'ready')", name="state"),
        CheckConstraint("(master_key_id IS NULL) = (wrapped IS NULL)", name="wrapped"),
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
    )

    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="writing")
    source_tenant_id: Mapped[UUID]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    schema_version: Mapped[str | None]
    rows: Mapped[int | None] = mapped_column(BigInteger)
    objects: Mapped[int | None] = mapped_column(BigInteger)
    taken_at: Mapped[datetime | None]
    created_by: Mapped[str]
    master_key_id: Mapped[str | None]
    wrapped: Mapped[WrappedKey | None]


class TenantQuotas(PlatformBase):
    """What a tenant may have at most; null means no bound. Jobs at once are bounded by `TenantLimits`."""

    __tablename__ = "tenant_quotas"
    __table_args__ = tuple(
        CheckConstraint(f"{name} >= 0", name=name)
        for name in ("jobs_per_day", "storage_bytes", "members", "api_keys", "schedules")
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    jobs_per_day: Mapped[int | None] = mapped_column(BigInteger)
    storage_bytes: Mapped[int | None] = mapped_column(BigInteger)
    members: Mapped[int | None] = mapped_column(BigInteger)
    api_keys: Mapped[int | None] = mapped_column(BigInteger)
    schedules: Mapped[int | None] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]


class TenantUsage(PlatformBase):
    """Jobs that a tenant with a quota submitted on a day (UTC)."""

    __tablename__ = "tenant_usage"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    jobs: Mapped[int] = mapped_column(BigInteger)


class ErasureCertificate(Identified, Created, PlatformBase):
    """What of a tenant was destroyed, as canonical JSON, signed (Ed25519). Outlives the tenant, so it refers to no row."""

    __tablename__ = "erasure_certificates"
    __table_args__ = (UniqueConstraint("tenant_id"),)

    tenant_id: Mapped[UUID]
    statement: Mapped[str]
    signature: Mapped[bytes]
    public_key: Mapped[bytes]
