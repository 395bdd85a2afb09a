"""A tenant's objects in a backup, for platforms that keep objects in files: a line of JSON for each, then its bytes in pieces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from domain.errors import JobError, Permanent
from providers.storage import Bucket
from tenancy.life.archives import PREFIX

_CHUNK = 1024 * 1024


def write(bucket: Bucket, out: Callable[[bytes], object]) -> int:
    """Write every object but archives, which are copies themselves; returns how many."""
    count = 0
    for info in bucket.list():
        if info.key.startswith(PREFIX):
            continue
        try:
            stream = bucket.open(info.key)
        except JobError as error:
            if error.job_code == "object_not_found":
                continue  # removed since it was listed
            raise
        hashed = hashlib.sha256()
        out(json.dumps({"key": info.key}).encode() + b"\n")
        with stream:
            while chunk := stream.read(_CHUNK):
                hashed.update(chunk)
                out(b"%d\n" % len(chunk))
                out(chunk)
        out(b"0\n" + json.dumps({"sha256": hashed.hexdigest()}).encode() + b"\n")
        count += 1
    return count


def restore(bucket: Bucket, pieces: Iterator[bytes]) -> int:
    """Put every object back; returns how many. Raises `Permanent` (`backup_damaged`)."""
    source, count = _Source(pieces), 0
    while line := source.line():
        key = json.loads(line)["key"]
        content = _Content(source)
        bucket.put(key, cast("BinaryIO", content))
        if json.loads(source.line())["sha256"] != content.hashed.hexdigest():
            raise Permanent(f"The backup is damaged: object {key} is not whole.", code="backup_damaged")
        count += 1
    return count


class _Source:
    """Bytes in pieces, read by line or by number."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces, self._rest = pieces, b""

    def line(self) -> bytes:
        while b"\n" not in self._rest and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def take(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


class _Content:
    """One object as a stream for a bucket to read from."""

    def __init__(self, source: _Source):
        self.hashed = hashlib.sha256()
        self._source, self._ready, self._ended = source, b"", False

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._ready) < size):
            length = int(self._source.line() or b"0")
            self._ended = length == 0
            piece = self._source.take(length)
            self.hashed.update(piece)
            self._ready += piece
        end = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:end], self._ready[end:]
        return taken

    def seekable(self) -> bool:
        return False
