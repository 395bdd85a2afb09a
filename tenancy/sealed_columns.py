"""Every column that holds sealed values, and under which key: what a rotation has to go through.

A table of a tenant's is listed here with the columns that its data key seals; a test holds the list and the models together.
The place of a value, as `Vault.seal` takes it, is the table, the column and the row's `id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table whose rows have an `id` and, in `tenant`, the tenant whose data key has sealed `columns`."""

    name: LiteralString
    columns: tuple[LiteralString, ...]
    tenant: LiteralString = "tenant_id"


PLATFORM: tuple[SealedTable, ...] = (
    SealedTable(
        "tenants", ("dsn_sealed", "bucket_sealed", "server_sealed", "llm_key_sealed", "llm_config_sealed"), tenant="id"
    ),
    SealedTable("webhook_endpoints", ("secret_sealed", "previous_secret_sealed")),
    SealedTable("schedules", ("payload_sealed",)),
    SealedTable("jobs", ("payload_sealed", "result_sealed", "error_sealed", "checkpoint_sealed")),
    SealedTable("events", ("payload_sealed",)),
    SealedTable("webhook_attempts", ("response_sealed",)),
)
"""In the platform database."""

TENANT: tuple[SealedTable, ...] = (
    SealedTable("notification_providers", ("secret_sealed",)),
    SealedTable("recipient_devices", ("target_sealed",)),
    SealedTable("search_sources", ("secret_sealed",)),
)
"""In the tenant's database."""

UNDER_MASTER: Mapping[str, tuple[str, ...]] = {
    "second_factors": ("secret_sealed",),
    "signing_keys": ("private_sealed",),
}
"""What the master key seals directly; it is rewrapped where it is kept."""

SHORT_LIVED: Mapping[str, tuple[str, ...]] = {"idempotent_requests": ("body_sealed",)}
"""What the engine's account must not read, and no rotation has to: it is gone within `tenancy.rotation.GRACE`."""
