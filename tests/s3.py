"""S3 for tests that are no contract of storage: moto in this process, behind faults, with a bucket for objects and one for backups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer
from types_boto3_s3 import S3Client

from tests.contracts.s3_faults import S3Faults, s3_faults


@dataclass(frozen=True)
class S3:
    """`client` goes past the faults. `objects` and `backups` are names of buckets."""

    faults: S3Faults
    client: S3Client
    objects: str
    backups: str

    @property
    def variables(self) -> dict[str, Any]:
        """What makes a platform use it."""
        return {
            "S3_BUCKET": self.objects, "S3_ENDPOINT": self.faults.url, "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret",
            "NEXUS_BACKUP_BUCKET": self.backups, "NEXUS_BACKUP_FOLDER": None,
        }  # fmt: skip

    def keys(self, bucket: str) -> list[str]:
        """Of every object in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def unfinished(self, bucket: str) -> list[str]:
        """Keys of uploads that have neither ended nor been given up."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


@contextmanager
def s3_store() -> Iterator[S3]:
    """One whose buckets nobody else uses."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.session.Session().client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", aws_access_key_id="key",
        aws_secret_access_key="secret",
    )  # fmt: skip
    names = [f"{what}-{uuid4().hex}" for what in ("objects", "backups")]
    for name in names:
        client.create_bucket(Bucket=name)
    try:
        with s3_faults(f"http://{host}:{port}") as faults:
            yield S3(faults, client, *names)
    finally:
        client.close()
        server.stop()
