"""S3 that fails in the middle: large objects arrive whole or not at all, and nothing is left of those that did not."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from types_boto3_s3 import S3Client

from config.settings import Settings
from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.durable_files import TEMPORARY_PREFIX
from providers.storage import Bucket, open_bucket
from providers.storage.s3_transfer import PART_BYTES
from tests.contracts.s3_faults import SLOW_DOWN, Fault, S3Faults, s3_faults

SettingsMaker = Callable[..., Settings]

LARGE = 3 * PART_BYTES + 12_345


@pytest.fixture
def faults(s3_endpoint: str) -> Iterator[S3Faults]:
    """In front of moto."""
    with s3_faults(s3_endpoint) as found:
        yield found


@pytest.fixture
def name(s3: S3Client) -> str:
    """A bucket of the test's own."""
    made = f"transfers-{uuid4().hex}"
    s3.create_bucket(Bucket=made)
    return made


@pytest.fixture
def bucket(settings: SettingsMaker, faults: S3Faults, name: str) -> Bucket:
    """It, behind the faults."""
    made = settings(S3_BUCKET="platform", S3_ENDPOINT=faults.url, S3_ACCESS_KEY="key", S3_SECRET_KEY="secret")
    return open_bucket(made, name, "p")


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(LARGE)


def unfinished(s3: S3Client, name: str) -> list[str]:
    """Keys of uploads that have neither ended nor been given up."""
    return [each["Key"] for each in s3.list_multipart_uploads(Bucket=name).get("Uploads", [])]


class _Pipe(io.RawIOBase):
    """A stream that cannot be rewound, and gives less than it is asked for."""

    def __init__(self, content: bytes, breaks: BaseException | None = None):
        self._content, self._breaks = io.BytesIO(content), breaks

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._content.read(min(len(buffer), 1_000_003))
        if not piece and self._breaks is not None:
            raise self._breaks
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("stream", [io.BytesIO, _Pipe])
@pytest.mark.parametrize("size", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, LARGE])
def test_an_object_of_any_size_arrives_whole(
    bucket: Bucket, s3: S3Client, name: str, content: bytes, size: int, stream: Callable[[bytes], Any]
) -> None:
    bucket.put("large", stream(content[:size]), "application/zip")
    assert bucket.get("large") == content[:size]
    assert s3.head_object(Bucket=name, Key="p/large")["ContentType"] == "application/zip"
    assert unfinished(s3, name) == []


@pytest.mark.parametrize("deed", ["answer", "cut request", "lose answer"])
@pytest.mark.parametrize("stream", [io.BytesIO, _Pipe])
def test_a_part_that_fails_is_sent_again_and_not_the_others(
    bucket: Bucket, faults: S3Faults, content: bytes, deed: Any, stream: Callable[[bytes], Any]
) -> None:
    faults.spoil(Fault(deed, within="partNumber=2", times=2, error=SLOW_DOWN))
    bucket.put("large", stream(content))
    assert bucket.get("large") == content
    sent = [target for method, target in faults.asked if method == "PUT"]
    assert [sum(f"partNumber={part}&" in f"{target}&" for target in sent) for part in (1, 2, 3, 4)] == [1, 3, 1, 1]


def test_a_store_that_spoils_every_third_call_still_gets_a_large_object(
    bucket: Bucket, faults: S3Faults, s3: S3Client, name: str, content: bytes
) -> None:
    for method in ("PUT", "POST"):
        faults.spoil(Fault("answer", method, times=1000, nth=3, error=SLOW_DOWN))
    bucket.put("large", io.BytesIO(content))
    assert bucket.get("large") == content
    assert unfinished(s3, name) == []


@pytest.mark.parametrize(("error", "kind"), [(SLOW_DOWN, RateLimited), ((403, "AccessDenied"), Permanent)])
def test_a_large_object_that_does_not_arrive_leaves_the_old_one_and_no_parts(
    bucket: Bucket, faults: S3Faults, s3: S3Client, name: str, content: bytes, error: Any, kind: type[JobError]
) -> None:
    bucket.put("large", b"old")
    faults.spoil(Fault("answer", within="partNumber=3", times=1000, error=error))
    with pytest.raises(kind):
        bucket.put("large", io.BytesIO(content))
    assert (bucket.get("large"), unfinished(s3, name)) == (b"old", [])


def test_a_stream_that_breaks_off_leaves_no_object_and_no_parts(
    bucket: Bucket, s3: S3Client, name: str, content: bytes
) -> None:
    with pytest.raises(InterruptedError):
        bucket.put("large", _Pipe(content, InterruptedError()))  # type: ignore[arg-type]  # as much of one as is needed
    assert not bucket.exists("large")
    assert unfinished(s3, name) == []


def test_an_upload_that_somebody_gave_up_meanwhile_may_be_tried_again(
    bucket: Bucket, faults: S3Faults, s3: S3Client, name: str, content: bytes
) -> None:
    class Swept(_Pipe):
        def readinto(self, buffer: Any) -> int:
            if self._content.tell() > 2 * PART_BYTES:
                bucket.sweep(datetime.now(UTC))
            return super().readinto(buffer)

    with pytest.raises(Transient):
        bucket.put("large", Swept(content))  # type: ignore[arg-type]
    assert not bucket.exists("large")


@pytest.mark.parametrize("piece", [100_000, -1])
def test_an_object_that_is_cut_off_again_and_again_is_read_whole(
    bucket: Bucket, faults: S3Faults, content: bytes, piece: int
) -> None:
    bucket.put("large", io.BytesIO(content))
    faults.spoil(Fault("cut answer", "GET", "/p/large", times=4))
    with bucket.open("large") as stream:
        found = b"".join(iter(lambda: stream.read(piece), b""))
    assert found == content
    assert [method for method, target in faults.asked if method == "GET" and "/p/large" in target] == ["GET"] * 5


def test_an_object_that_is_replaced_while_it_is_cut_off_is_not_put_together_of_two(
    bucket: Bucket, faults: S3Faults, content: bytes
) -> None:
    bucket.put("large", io.BytesIO(content))
    faults.spoil(Fault("cut answer", "GET", "/p/large", times=1))
    with bucket.open("large") as stream:
        assert stream.read(10) == content[:10]
        bucket.put("large", io.BytesIO(content[::-1]))
        with pytest.raises(Transient, match="replaced"):
            stream.read()


def test_a_page_of_a_list_that_fails_is_asked_for_again(bucket: Bucket, faults: S3Faults) -> None:
    for number in range(3):
        bucket.put(f"{number}", b"")
    faults.spoil(Fault("answer", "GET", "list-type=2", times=2, error=SLOW_DOWN))
    assert [info.key for info in bucket.list()] == ["0", "1", "2"]


# --- what a process that died has left


def test_what_a_dead_process_left_in_s3_is_swept_below_a_folder_and_only_there(
    bucket: Bucket, s3: S3Client, name: str
) -> None:
    for key in ("p/a/b", "p/a/c/d", "p/ab", "p2/a/b"):
        s3.create_multipart_upload(Bucket=name, Key=key)
    assert bucket.sweep(datetime(2000, 1, 1, tzinfo=UTC)) == 0, "they may still run"
    assert bucket.sweep(datetime.now(UTC), "a") == 2
    assert unfinished(s3, name) == ["p/ab", "p2/a/b"]
    assert bucket.sweep(datetime.now(UTC)) == 1
    assert unfinished(s3, name) == ["p2/a/b"]


def test_what_a_dead_process_left_in_files_is_swept_when_it_is_old(settings: SettingsMaker, tmp_path: Path) -> None:
    bucket = open_bucket(settings(), "tenant-bucket")
    bucket.put("a/b", b"kept")
    root = tmp_path / "home" / "objects" / "tenant-bucket"
    left = [folder / f"{TEMPORARY_PREFIX}{number}" for number, folder in enumerate((root, root / "a%"))]
    for path in left:
        path.write_bytes(b"half")
    assert bucket.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert bucket.sweep(datetime.now(UTC) + timedelta(hours=1), "a") == 1
    assert [path.exists() for path in left] == [True, False]
    assert bucket.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert bucket.get("a/b") == b"kept"


@pytest.mark.parametrize("where", ["files", "s3"])
def test_folders_are_named_once_each_without_what_is_in_none(
    settings: SettingsMaker, bucket: Bucket, where: str
) -> None:
    chosen = bucket if where == "s3" else open_bucket(settings(), "tenant-bucket")
    for key in ("b/1", "b/2/3", "a%/x", "loose", "gone/x"):
        chosen.put(key, b"")
    chosen.delete("gone/x")
    assert list(chosen.folders()) == ["a%", "b"]
