"""Keys that never leave the service that holds them: the Protocol, and the service behind a key's name."""

from __future__ import annotations

from config.settings import Settings
from providers.kms.base import KeyService

__all__ = ["KeyService", "open_key_service"]


def open_key_service(settings: Settings) -> KeyService:
    """AWS KMS as the settings name it. Nothing is connected yet."""
    from providers.kms.aws import AwsKeyService

    return AwsKeyService(settings.kms_endpoint, settings.kms_region)
