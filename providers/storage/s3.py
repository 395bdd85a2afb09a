"""A bucket in S3, or in anything that speaks its protocol, limited to a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias

from domain.errors import Permanent, Transient
from providers.storage.base import ObjectInfo, ObjectStream
from providers.storage.keys import check_key, check_prefix
from providers.storage.s3_calls import S3Account, once, repeatedly, s3_client

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

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
        upload = _Upload(self._s3, self._name, full, data, content_type)
        if data.seekable():
            repeatedly(upload)
        else:
            once(upload)

    def get(self, key: str) -> bytes:
        full = self._full(key)

        def read() -> bytes:
            # `with body` would hand out urllib3's stream, whose errors botocore does not translate.
            with closing(self._s3.get_object(Bucket=self._name, Key=full)["Body"]) as body:
                return body.read()

        return repeatedly(read)

    def open(self, key: str) -> ObjectStream:
        full = self._full(key)
        return _S3Stream(repeatedly(lambda: self._s3.get_object(Bucket=self._name, Key=full))["Body"])

    def delete(self, key: str) -> None:
        full = self._full(key)
        repeatedly(lambda: self._s3.delete_object(Bucket=self._name, Key=full))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        full = self._prefix + check_prefix(prefix)
        for page in self._pages("list_objects_v2", Prefix=full):
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"])

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
        for page in self._pages("list_multipart_uploads", Prefix=self._prefix):
            for upload in page.get("Uploads", []):
                self._abort(upload["Key"], upload["UploadId"])
                count += 1
        return count

    def _full(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _pages(self, operation: Any, **arguments: str) -> Iterator[Any]:
        pages: Iterator[Any] = iter(self._s3.get_paginator(operation).paginate(Bucket=self._name, **arguments))
        while (page := once(lambda: next(pages, None))) is not None:
            yield page

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
        repeatedly(lambda: self._s3.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload_id))


class _Upload:
    """A stream on its way, in parts if it is large. Called again, it begins where the stream stood."""

    def __init__(self, s3: S3Client, bucket: str, key: str, data: BinaryIO, content_type: str):
        self._s3, self._bucket, self._key, self._data = s3, bucket, key, data
        self._extra = {"ContentType": content_type}
        self._start = data.tell() if data.seekable() else None

    def __call__(self) -> None:
        from boto3.s3.transfer import TransferConfig

        if self._start is not None:
            self._data.seek(self._start)
        stream: Any = _KeptOpen(self._data)
        self._s3.upload_fileobj(
            stream, self._bucket, self._key, ExtraArgs=self._extra, Config=TransferConfig(use_threads=False)
        )


class _KeptOpen:
    """The caller's stream, which boto3 would close although it is not its own and may be needed again."""

    def __init__(self, data: BinaryIO):
        self.read = data.read
        if data.seekable():
            self.seek, self.tell = data.seek, data.tell

    def close(self) -> None:
        """Left to the caller."""


class _S3Stream:
    def __init__(self, body: Any):
        self._body = body

    def read(self, size: int = -1, /) -> bytes:
        content: bytes = once(lambda: self._body.read(None if size < 0 else size))
        return content

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()
