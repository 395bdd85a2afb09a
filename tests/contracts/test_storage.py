"""Buckets: one contract over files and S3, whole and below a prefix."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from types_boto3_s3 import S3Client
from werkzeug import Request, Response

from config.settings import Settings
from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.storage import Bucket, open_bucket
from providers.storage.keys import check_key

SettingsMaker = Callable[..., Settings]
Opener = Callable[[str], Bucket]


def s3_settings(settings: SettingsMaker, endpoint: str) -> Settings:
    return settings(S3_BUCKET="platform", S3_ENDPOINT=endpoint, S3_ACCESS_KEY="key", S3_SECRET_KEY="secret")


def make_s3_bucket(s3: S3Client, versioned: bool = False) -> str:
    name = f"tenant-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(params=["files", "s3", "versioned s3"])
def opener(request: pytest.FixtureRequest, settings: SettingsMaker) -> Opener:
    """Opens one new bucket at a prefix of it."""
    if request.param == "files":
        return lambda prefix: open_bucket(settings(), "tenant-bucket", prefix)
    endpoint = request.getfixturevalue("s3_endpoint")
    name = make_s3_bucket(request.getfixturevalue("s3"), versioned=request.param == "versioned s3")
    return lambda prefix: open_bucket(s3_settings(settings, endpoint), name, prefix)


@pytest.fixture(params=["", "tenants/01"], ids=["whole", "prefix"])
def bucket(request: pytest.FixtureRequest, opener: Opener) -> Bucket:
    return opener(request.param)


def keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [info.key for info in bucket.list(prefix)]


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(JobError) as raised:
        call()
    return raised.value.job_code


# --- the contract


def test_what_is_put_can_be_got(bucket: Bucket) -> None:
    bucket.put("reports/2026/a.pdf", b"content", "application/pdf")

    assert bucket.get("reports/2026/a.pdf") == b"content"


def test_putting_again_replaces(bucket: Bucket) -> None:
    bucket.put("a", b"a longer first content")
    bucket.put("a", b"second")

    assert bucket.get("a") == b"second"


def test_an_empty_object_is_an_object(bucket: Bucket) -> None:
    bucket.put("a", b"")

    assert bucket.get("a") == b""
    assert bucket.exists("a")


def test_a_stream_is_stored_from_where_it_stands(bucket: Bucket) -> None:
    stream = io.BytesIO(b"skipped" + b"x" * 3_000_000)
    stream.seek(7)

    bucket.put("a", stream)

    assert bucket.get("a") == b"x" * 3_000_000
    assert not stream.closed


def test_a_stream_that_cannot_be_rewound_is_stored(bucket: Bucket) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as writer:
        writer.write(b"through a pipe")
    with os.fdopen(read_end, "rb") as reader:
        bucket.put("a", reader)

    assert bucket.get("a") == b"through a pipe"


def test_an_object_can_be_read_in_pieces(bucket: Bucket) -> None:
    bucket.put("a", b"0123456789")

    with bucket.open("a") as stream:
        pieces = [stream.read(4), stream.read(4), stream.read(), stream.read(1)]

    assert pieces == [b"0123", b"4567", b"89", b""]


def test_what_is_deleted_is_gone(bucket: Bucket) -> None:
    bucket.put("a", b"x")
    bucket.delete("a")

    assert not bucket.exists("a")
    assert keys(bucket) == []


def test_deleting_what_is_not_there_is_no_error(bucket: Bucket) -> None:
    bucket.delete("never/was")

    assert not bucket.exists("never/was")


def test_reading_what_is_not_there_is_permanent(bucket: Bucket) -> None:
    assert code_of(lambda: bucket.get("a")) == "object_not_found"
    assert code_of(lambda: bucket.open("a")) == "object_not_found"


def test_a_key_may_also_be_the_beginning_of_others(bucket: Bucket) -> None:
    for key in ("a", "a/b", "a/b/c", "a%", "a%/b", "a%25"):
        bucket.put(key, key.encode())

    assert keys(bucket) == ["a", "a%", "a%/b", "a%25", "a/b", "a/b/c"]
    assert [bucket.get(key).decode() for key in keys(bucket)] == keys(bucket)


def test_a_list_is_ordered_and_says_size_and_time(bucket: Bucket) -> None:
    for key in ("b", "a/z", "a-", "ä", "a/b"):
        bucket.put(key, b"12345")

    infos = list(bucket.list())

    assert [info.key for info in infos] == ["a-", "a/b", "a/z", "b", "ä"]
    assert {info.size for info in infos} == {5}
    assert all(abs(info.modified_at - datetime.now(UTC)) < timedelta(minutes=1) for info in infos)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["in/a", "in/b", "inner", "out"]),
        ("in", ["in/a", "in/b", "inner"]),
        ("in/", ["in/a", "in/b"]),
        ("in/a", ["in/a"]),
        ("nothing/here", []),
    ],
)
def test_a_list_takes_any_beginning_of_a_key(bucket: Bucket, prefix: str, expected: list[str]) -> None:
    for key in ("in/a", "in/b", "inner", "out"):
        bucket.put(key, b"x")

    assert keys(bucket, prefix) == expected


def test_an_unused_bucket_is_empty(bucket: Bucket) -> None:
    assert keys(bucket) == []
    assert bucket.erase() == 0


def test_erasing_leaves_nothing(bucket: Bucket) -> None:
    bucket.put("a", b"1")
    bucket.put("a", b"2")
    bucket.put("b/c", b"3")
    bucket.delete("b/c")

    assert bucket.erase() >= 1
    assert keys(bucket) == []
    assert bucket.erase() == 0


def test_one_prefix_neither_sees_nor_erases_another(opener: Opener) -> None:
    one, ten = opener("tenants/1"), opener("tenants/10")
    one.put("a", b"1")
    ten.put("a", b"10")

    assert keys(one) == ["a"]
    one.erase()

    assert ten.get("a") == b"10"
    assert not one.exists("a")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        "..",
        "../other/a",
        "a/../../b",
        "./a",
        "a/.",
        "a\0b",
        "a\nb",
        "a\\..\\b",
        "x" * 241,
        "%" * 81,
        "/".join(["x" * 200] * 6),
        "a\u0308",
        "\ud800",
    ],
)
def test_a_key_that_is_none_is_refused_everywhere(bucket: Bucket, key: str) -> None:
    bucket.put("a", b"x")
    calls: list[Callable[[], object]] = [
        lambda: bucket.put(key, b"x"),
        lambda: bucket.get(key),
        lambda: bucket.open(key),
        lambda: bucket.delete(key),
        lambda: bucket.exists(key),
    ]

    assert {code_of(call) for call in calls} == {"invalid_object_key"}


@pytest.mark.parametrize("prefix", ["/", "../", "a//", "a/../b", "a\0"])
def test_a_prefix_that_could_climb_is_refused(bucket: Bucket, prefix: str) -> None:
    assert code_of(lambda: list(bucket.list(prefix))) == "invalid_object_key"


@pytest.mark.parametrize("key", ["/".join(["ä" * 100] * 5), "%" * 80 + "/" + "%" * 80])
def test_the_longest_key_works(bucket: Bucket, key: str) -> None:
    bucket.put(key, b"x")

    assert keys(bucket) == [key]


@given(st.text(max_size=40))
def test_a_key_that_passes_cannot_climb(text: str) -> None:
    try:
        key = check_key(text)
    except Permanent:
        return
    root = Path("/root-of-bucket")
    assert Path(os.path.normpath(root / key)) == root / key
    assert (root / key).is_relative_to(root)
    assert root / key != root


# --- files


@pytest.fixture
def files(settings: SettingsMaker, tmp_path: Path) -> tuple[Bucket, Path]:
    return open_bucket(settings(), "tenant-bucket"), tmp_path / "home" / "objects" / "tenant-bucket"


def test_a_linked_folder_does_not_lead_out(files: tuple[Bucket, Path], tmp_path: Path) -> None:
    bucket, root = files
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    bucket.put("a", b"x")
    (root / "link%").symlink_to(outside)

    assert code_of(lambda: bucket.get("link/secret")) == "object_outside_bucket"
    assert code_of(lambda: bucket.put("link/new", b"x")) == "object_outside_bucket"
    assert code_of(lambda: bucket.delete("link/secret")) == "object_outside_bucket"
    assert keys(bucket) == ["a"]
    bucket.erase()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_linked_object_does_not_lead_out(files: tuple[Bucket, Path], tmp_path: Path) -> None:
    bucket, root = files
    (tmp_path / "secret").write_bytes(b"secret")
    bucket.put("a", b"x")
    (root / "link").symlink_to(tmp_path / "secret")

    assert code_of(lambda: bucket.get("link")) == "object_outside_bucket"
    assert code_of(lambda: bucket.exists("link")) == "object_outside_bucket"
    assert keys(bucket) == ["a"]


class _Breaking(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(10)
        if not content:
            raise OSError(5, "Input/output error")
        return content


def test_a_write_that_breaks_off_leaves_the_old_object_and_no_trace(files: tuple[Bucket, Path]) -> None:
    bucket, root = files
    bucket.put("a", b"old")

    assert code_of(lambda: bucket.put("a", _Breaking(b"x" * 100))) == "storage_unavailable"

    assert bucket.get("a") == b"old"
    assert [path.name for path in root.iterdir()] == ["a"]


def test_a_reader_keeps_the_object_that_it_opened(files: tuple[Bucket, Path]) -> None:
    bucket, _ = files
    bucket.put("a", b"old")

    with bucket.open("a") as stream:
        bucket.put("a", b"new")
        assert stream.read() == b"old"


# --- S3


def test_s3_keeps_the_content_type(settings: SettingsMaker, s3_endpoint: str, s3: S3Client) -> None:
    name = make_s3_bucket(s3)
    open_bucket(s3_settings(settings, s3_endpoint), name, "p").put("a.pdf", io.BytesIO(b"x"), "application/pdf")

    assert s3.head_object(Bucket=name, Key="p/a.pdf")["ContentType"] == "application/pdf"


def test_s3_lists_more_than_a_page(settings: SettingsMaker, s3_endpoint: str, s3: S3Client) -> None:
    bucket = open_bucket(s3_settings(settings, s3_endpoint), make_s3_bucket(s3))
    for number in range(1005):
        bucket.put(f"{number:04}", b"")

    assert keys(bucket) == [f"{number:04}" for number in range(1005)]
    assert bucket.erase() == 1005
    assert keys(bucket) == []


def test_erasing_s3_removes_versions_and_unfinished_uploads(
    settings: SettingsMaker, s3_endpoint: str, s3: S3Client
) -> None:
    name = make_s3_bucket(s3, versioned=True)
    bucket = open_bucket(s3_settings(settings, s3_endpoint), name, "p")
    bucket.put("a", b"1")
    bucket.put("a", b"2")
    bucket.delete("a")
    s3.create_multipart_upload(Bucket=name, Key="p/b")

    assert bucket.erase() == 4

    left = s3.list_object_versions(Bucket=name)
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_a_bucket_that_does_not_exist_is_permanent(settings: SettingsMaker, s3_endpoint: str) -> None:
    bucket = open_bucket(s3_settings(settings, s3_endpoint), "no-such-bucket")

    assert code_of(lambda: bucket.put("a", b"x")) == "bucket_not_found"


def s3_error(code: str) -> str:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'


@pytest.mark.parametrize(
    ("status", "code", "kind", "job_code", "calls"),
    [
        (503, "SlowDown", RateLimited, "provider_rate_limited", 3),
        (500, "InternalError", Transient, "storage_unavailable", 3),
        (400, "RequestTimeout", Transient, "storage_unavailable", 3),
        (403, "AccessDenied", Permanent, "provider_unauthorized", 1),
        (403, "InvalidAccessKeyId", Permanent, "provider_unauthorized", 1),
        (400, "InvalidArgument", Permanent, "provider_rejected", 1),
    ],
)
def test_s3s_answer_decides_whether_to_repeat(
    settings: SettingsMaker,
    httpserver: HTTPServer,
    status: int,
    code: str,
    kind: type[JobError],
    job_code: str,
    calls: int,
) -> None:
    httpserver.expect_request("/tenant-bucket/a").respond_with_data(s3_error(code), status=status)
    bucket = open_bucket(s3_settings(settings, httpserver.url_for("").rstrip("/")), "tenant-bucket")

    with pytest.raises(JobError) as raised:
        bucket.get("a")

    assert type(raised.value) is kind
    assert raised.value.job_code == job_code
    assert len(httpserver.log) == calls


@pytest.mark.parametrize("content", [b"stream content", b"bytes content"])
def test_an_upload_survives_a_passing_fault_with_its_whole_content(
    settings: SettingsMaker, httpserver: HTTPServer, content: bytes
) -> None:
    stored: list[bytes] = []

    def accept(request: Request) -> Response:
        stored.append(request.get_data())
        return Response(status=200)

    httpserver.expect_ordered_request("/tenant-bucket/a").respond_with_data(s3_error("InternalError"), status=500)
    httpserver.expect_ordered_request("/tenant-bucket/a").respond_with_handler(accept)
    bucket = open_bucket(s3_settings(settings, httpserver.url_for("").rstrip("/")), "tenant-bucket")

    bucket.put("a", io.BytesIO(content) if content.startswith(b"stream") else content)

    assert stored == [content]


def test_s3_out_of_reach_may_work_later(settings: SettingsMaker, closed_port: int) -> None:
    bucket = open_bucket(s3_settings(settings, f"http://127.0.0.1:{closed_port}"), "tenant-bucket")

    with pytest.raises(Transient) as raised:
        bucket.get("a")

    assert raised.value.job_code == "storage_unavailable"


def test_an_object_cut_off_while_it_is_read_is_no_object(settings: SettingsMaker, httpserver: HTTPServer) -> None:
    def cut(_: Request) -> Response:
        response = Response(b"half", status=200)
        response.automatically_set_content_length = False
        response.headers["Content-Length"] = "1000"
        return response

    httpserver.expect_request("/tenant-bucket/a").respond_with_handler(cut)
    bucket = open_bucket(s3_settings(settings, httpserver.url_for("").rstrip("/")), "tenant-bucket")

    assert code_of(lambda: bucket.get("a")) == "storage_unavailable"
    with bucket.open("a") as stream:
        assert code_of(lambda: cast("IO[bytes]", stream).read()) == "storage_unavailable"


# --- addresses


def test_the_platforms_keys_never_go_to_a_tenants_endpoint(settings: SettingsMaker, httpserver: HTTPServer) -> None:
    platform = s3_settings(settings, "http://127.0.0.1:1")

    call = lambda: open_bucket(platform, "tenant-bucket", endpoint=httpserver.url_for(""))  # noqa: E731

    assert code_of(call) == "provider_misconfigured"


def test_a_tenants_own_account_is_used_at_its_own_endpoint(settings: SettingsMaker, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/tenant-bucket/a").respond_with_data(b"theirs")
    bucket = open_bucket(
        s3_settings(settings, "http://127.0.0.1:1"),
        "tenant-bucket",
        endpoint=httpserver.url_for("").rstrip("/"),
        access_key="THEIRKEY",
        secret_key="their-secret",
    )

    assert bucket.get("a") == b"theirs"
    ((request, _),) = httpserver.log
    assert "THEIRKEY" in request.headers["Authorization"]


@pytest.mark.parametrize("name", ["", "..", "a", "../other", "A-Bucket", "a/b", "a..b", "-ab"])
def test_what_is_no_buckets_name_is_refused(settings: SettingsMaker, name: str) -> None:
    assert code_of(lambda: open_bucket(settings(), name)) == "provider_misconfigured"


@pytest.mark.parametrize("prefix", ["../other", "/abs", "a//b"])
def test_a_prefix_that_climbs_opens_nothing(opener: Opener, prefix: str) -> None:
    assert code_of(lambda: opener(prefix)) == "invalid_object_key"
