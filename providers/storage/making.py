"""The operator's own buckets, made where they are missing: a new object store has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.settings import Settings
from domain.errors import Permanent
from providers.storage.s3_calls import S3Account, once, s3_client

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PATIENCE_SECONDS = 5.0
"""Whoever prepares a platform waits for this: a store that is away must not hold up a start for long."""

_AMAZONS_FIRST = "us-east-1"
"""The one region that is not named when a bucket is made there."""


def make_buckets(settings: Settings) -> list[str]:
    """Make `S3_BUCKET` and `NEXUS_BACKUP_BUCKET` if they are not there; returns the names of those made.

    Nothing happens without S3. An account that may use a bucket and make none is no error as long as the bucket is there. Raises
    `JobError` if the store cannot be reached, or refuses.
    """
    if settings.s3_bucket is None:
        return []
    account = S3Account(
        settings.s3_endpoint,
        settings.s3_region,
        settings.s3_access_key.get_secret_value() if settings.s3_access_key else None,
        settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None,
        timeout=PATIENCE_SECONDS,
    )
    client = s3_client(account)
    wanted = dict.fromkeys(name for name in (settings.s3_bucket, settings.backup_bucket) if name)
    return [name for name in wanted if not _is_there(client, name) and _make(client, name, settings)]


def _is_there(client: S3Client, name: str) -> bool:
    try:
        once(lambda: client.head_bucket(Bucket=name))
    except Permanent as error:
        if error.job_code == "object_not_found":  # a HEAD is answered without words: 404 is all that is known
            return False
        raise
    return True


def _make(client: S3Client, name: str, settings: Settings) -> bool:
    where: dict[str, Any] = {}
    if settings.s3_endpoint is None and settings.s3_region != _AMAZONS_FIRST:
        where = {"CreateBucketConfiguration": {"LocationConstraint": settings.s3_region}}
    once(lambda: client.create_bucket(Bucket=name, **where))
    return True
