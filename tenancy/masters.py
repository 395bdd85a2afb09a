"""The master keys as the settings give them."""

from __future__ import annotations

from config.settings import Settings
from providers.kms import open_key_service
from tenancy.vault import MasterRing


def open_ring(settings: Settings) -> MasterRing:
    """The ring, with the key service if one of the keys is there."""
    keys = settings.master_key_ring
    service = open_key_service(settings) if any(key is None for _, key in keys) else None
    return MasterRing(keys, service, None if settings.origin_key is None else settings.origin)
