"""Objects: the Protocol, and the bucket behind an address."""

from __future__ import annotations

import re

from config.settings import Settings
from domain.errors import Permanent
from providers.storage.base import Bucket, ObjectInfo, ObjectStream

__all__ = ["Bucket", "ObjectInfo", "ObjectStream", "open_backups", "open_bucket"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_bucket(
    settings: Settings,
    name: str,
    prefix: str = "",
    *,
    endpoint: str | None = None,
    region: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
) -> Bucket:
    """The bucket `name`, seen from `prefix` down. Nothing is connected yet, and nothing is created.

    An address with an endpoint or keys of its own is taken as it stands: the platform's keys never go to a tenant's
    endpoint, nor a tenant's keys to the platform's. Otherwise it is the platform's S3 where `S3_BUCKET` is set, else
    files in `NEXUS_HOME/objects/<name>`. Raises `Permanent` with `provider_misconfigured` or `invalid_object_key`.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise Permanent("That is not a bucket's name.", code="provider_misconfigured")
    own = endpoint is not None or access_key is not None or secret_key is not None
    if own and not (access_key and secret_key):
        raise Permanent("A bucket with its own endpoint needs both of its keys.", code="provider_misconfigured")
    if not own and settings.s3_bucket is None:
        from providers.storage.files import FileBucket, folder_of

        root = settings.home / "objects" / name
        return FileBucket(folder_of(root, prefix) if prefix else root)
    from providers.storage.s3 import S3Bucket
    from providers.storage.s3_calls import S3Account

    if own:
        account = S3Account(endpoint, region or settings.s3_region, access_key, secret_key)
    else:
        account = S3Account(
            settings.s3_endpoint,
            region or settings.s3_region,
            settings.s3_access_key.get_secret_value() if settings.s3_access_key else None,
            settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None,
        )
    return S3Bucket(account, name, prefix)


def open_backups(settings: Settings) -> Bucket:
    """Where the operator keeps backups of the platform, apart from every tenant's objects.

    With S3 below `backups/` of `NEXUS_BACKUP_BUCKET`, or of `S3_BUCKET`; else files in `NEXUS_BACKUP_FOLDER`.
    """
    if settings.s3_bucket is not None:
        return open_bucket(settings, settings.backup_bucket or settings.s3_bucket, "backups")
    from providers.storage.files import FileBucket

    return FileBucket(settings.backup_folder or settings.home / "backups")
