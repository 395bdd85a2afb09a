"""Whether the master keys are this platform's: those of another open nothing here, and make accounts that nobody asked for."""

from __future__ import annotations

from typing import LiteralString

from config.settings import Settings, SettingsError
from domain.errors import JobError
from tenancy.database import Database
from tenancy.masters import open_ring
from tenancy.recovery.reading import BACKUP
from tenancy.vault import SealBroken, data_key_place

_THERE: LiteralString = "SELECT to_regclass('public.tenant_keys') IS NOT NULL AS there"
_FIRST: LiteralString = """
SELECT tenant_id, version, master_key_id, wrapped FROM tenant_keys ORDER BY tenant_id, version LIMIT 1
"""
"""The operator's own tenant, which is the oldest, unless it is gone."""


def refuse_other_keys(settings: Settings, owner: Database) -> None:
    """Raise `SettingsError` if the ring does not open a data key of the platform. A platform without one takes any ring.

    A key service that is away is no reason: what needs it waits by itself.
    """
    if not owner.fetch(_THERE, {})[0]["there"]:
        return
    for row in owner.fetch(_FIRST, {}, BACKUP):
        try:
            place = data_key_place(row["tenant_id"], row["version"])
            open_ring(settings).unwrap(row["master_key_id"], row["wrapped"], place)
        except SealBroken:
            raise SettingsError(
                f"NEXUS_MASTER_KEYS: they do not open what this platform has sealed under {row['master_key_id']}; "
                "set the keys that it was made with (docs/keys.md)"
            ) from None
        except JobError:
            return
