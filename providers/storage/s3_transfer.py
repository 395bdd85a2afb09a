"""Long transfers to and from S3: a stream up in parts, an object down as a stream. Each part is asked for again by itself when
its call fails: of a thousand parts one always does, and all of them would never arrive if each took the others with it.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from domain.errors import JobError, Transient
from providers.storage.s3_calls import once, patiently, repeatedly

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024
"""In memory at a time. More for what would be too many parts otherwise."""

MOST_PARTS = 9_000
"""S3 takes 10,000 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""

_CHUNK = 1024 * 1024


def upload(s3: S3Client, bucket: str, key: str, data: BinaryIO, content_type: str) -> None:
    """Store what the stream still holds. What fails leaves no parts behind, but a process that dies does."""
    part_bytes = _part_bytes(data)
    part = _piece(data, part_bytes)
    if len(part) < part_bytes:
        repeatedly(lambda: s3.put_object(Bucket=bucket, Key=key, Body=part, ContentType=content_type))
        return
    begun = repeatedly(lambda: s3.create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type))
    upload_id = begun["UploadId"]
    stored: list[CompletedPartTypeDef] = []
    try:
        while part:
            stored.append(_stored(s3, bucket, key, upload_id, len(stored) + 1, part))
            part = _piece(data, part_bytes)
        patiently(
            lambda: s3.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": stored}
            )
        )
    except BaseException:
        with suppress(JobError):
            repeatedly(lambda: s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id))
        raise


class Download:
    """An open object. One that is cut off goes on where it was, as long as nobody replaced the object meanwhile."""

    def __init__(self, s3: S3Client, bucket: str, key: str):
        self._s3, self._where = s3, {"Bucket": bucket, "Key": key}
        answer = repeatedly(lambda: s3.get_object(Bucket=bucket, Key=key))
        self._body: Any = answer["Body"]
        self._etag, self._at = answer.get("ETag"), 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        try:
            piece = self._read(size)
        except Transient:
            if self._etag is None:  # nothing to tell the object from one that replaced it
                raise
            piece = patiently(lambda: self._read(size))
        self._at += len(piece)
        return piece

    def close(self) -> None:
        if self._body is not None:
            self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()

    def _read(self, size: int) -> bytes:
        if self._body is None:
            self._body = self._opened_again()
        try:
            piece: bytes = once(lambda: self._body.read(size))
        except Transient:
            self.close()
            self._body = None
            raise
        return piece

    def _opened_again(self) -> Any:
        asked: dict[str, Any] = {**self._where, "IfMatch": self._etag}
        if self._at:
            asked["Range"] = f"bytes={self._at}-"
        answer = once(lambda: self._s3.get_object(**asked))
        if self._at and not answer.get("ContentRange", "").startswith(f"bytes {self._at}-"):
            answer["Body"].close()
            raise Transient(
                "The object store does not go on with an object that was cut off.", code="storage_unavailable"
            )
        return answer["Body"]


def _stored(s3: S3Client, bucket: str, key: str, upload_id: str, number: int, part: bytes) -> CompletedPartTypeDef:
    answer = patiently(lambda: s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part))
    return {"ETag": answer["ETag"], "PartNumber": number}


def _part_bytes(data: BinaryIO) -> int:
    if not data.seekable():
        return PART_BYTES
    here = data.tell()
    size = data.seek(0, 2) - here
    data.seek(here)
    return max(PART_BYTES, -(-size // MOST_PARTS))


def _piece(data: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end."""
    found = bytearray()
    while len(found) < size and (more := data.read(size - len(found))):
        found += more
    return bytes(found)
