"""A bucket in S3, or in anything that speaks its protocol, limited to a prefix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from domain.errors import Permanent, Transient
from providers.storage.base import ObjectInfo, ObjectStream
from providers.storage.keys import check_key, check_prefix
from providers.storage.s3_calls import S3Account, repeatedly, s3_client
from providers.storage.s3_transfer import Download, upload

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, MultipartUploadTypeDef, ObjectIdentifierTypeDef

    Doomed: TypeAlias = list[ObjectIdentifierTypeDef]


class S3Bucket:
    """The objects in bucket `name` whose keys begin with `prefix/`; with no prefix, all of them."""

    def __init__(self, account: S3Account, name: str, prefix: str = ""):
        self._account = account
        self._name = name
        self._prefix = f"{check_key(prefix)}/" if prefix else ""

    @cached_property
    def _s3(self) -> S3Client:
        return s3_client(self._account)

    def put(self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream") -> None:
        full = self._full(key)
        if isinstance(data, bytes):
            repeatedly(lambda: self._s3.put_object(Bucket=self._name, Key=full, Body=data, ContentType=content_type))
            return
        upload(self._s3, self._name, full, data, content_type)

    def get(self, key: str) -> bytes:
        full = self._full(key)

        def read() -> bytes:
            # `with body` would hand out urllib3's stream, whose errors botocore does not translate.
            with closing(self._s3.get_object(Bucket=self._name, Key=full)["Body"]) as body:
                return body.read()

        return repeatedly(read)

    def open(self, key: str) -> ObjectStream:
        return Download(self._s3, self._name, self._full(key))

    def delete(self, key: str) -> None:
        full = self._full(key)
        repeatedly(lambda: self._s3.delete_object(Bucket=self._name, Key=full))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        full = self._prefix + check_prefix(prefix)
        for page in self._pages(Prefix=full):
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"])

    def folders(self) -> Sequence[str]:
        return [
            found["Prefix"].removeprefix(self._prefix).removesuffix("/")
            for page in self._pages(Prefix=self._prefix, Delimiter="/")
            for found in page.get("CommonPrefixes", [])
        ]

    def exists(self, key: str) -> bool:
        full = self._full(key)
        try:
            repeatedly(lambda: self._s3.head_object(Bucket=self._name, Key=full))
        except Permanent as error:
            if error.job_code == "object_not_found":
                return False
            raise
        return True

    def erase(self) -> int:
        """Versions, delete markers and unfinished uploads as well: what is erased is gone."""
        count = 0
        # From the front every time: markers into a list that shrinks are not something servers agree on.
        while doomed := self._versions():
            self._delete_all(doomed)
            count += len(doomed)
        return count + self.sweep(datetime.max.replace(tzinfo=UTC))

    def sweep(self, before: datetime, folder: str = "") -> int:
        below = self._prefix + (f"{check_key(folder)}/" if folder else "")
        left = [each for each in self._uploads(below) if each["Initiated"] < before]
        for each in left:
            self._abort(each["Key"], each["UploadId"])
        return len(left)

    def _full(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _pages(self, **asked: Any) -> Iterator[ListObjectsV2OutputTypeDef]:
        # Not botocore's paginator: it cannot ask again for the page whose call failed.
        more: dict[str, Any] = {}
        while True:
            page = repeatedly(lambda: self._s3.list_objects_v2(Bucket=self._name, **asked, **more))  # noqa: B023 - called at once
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _uploads(self, below: str) -> Iterator[MultipartUploadTypeDef]:
        more: dict[str, Any] = {}
        while True:
            page = repeatedly(lambda: self._s3.list_multipart_uploads(Bucket=self._name, Prefix=below, **more))  # noqa: B023
            yield from page.get("Uploads", [])
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _versions(self) -> Doomed:
        page = repeatedly(lambda: self._s3.list_object_versions(Bucket=self._name, Prefix=self._prefix))
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]

    def _delete_all(self, doomed: Doomed) -> None:
        answer = repeatedly(
            lambda: self._s3.delete_objects(Bucket=self._name, Delete={"Objects": doomed, "Quiet": True})
        )
        if answer.get("Errors"):
            raise Transient("Some objects could not be erased.", code="storage_unavailable")

    def _abort(self, key: str, upload_id: str) -> None:
        def abort() -> None:
            with suppress(self._s3.exceptions.NoSuchUpload):  # it ended meanwhile
                self._s3.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload_id)

        repeatedly(abort)
