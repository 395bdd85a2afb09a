"""What a bucket does, wherever its objects are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Protocol, Self


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a list: `size` in bytes."""

    key: str
    size: int
    modified_at: datetime


class ObjectStream(Protocol):
    """An open object, read from front to back. Its `read` raises what the bucket raises."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class Bucket(Protocol):
    """Objects by key (`providers.storage.keys` has the rule). One tenant's bucket reaches no other's objects.

    Everything raises `Permanent` (`invalid_object_key`, `object_not_found`, `bucket_not_found`,
    `object_outside_bucket`, `provider_unauthorized`, `provider_rejected`) or `Transient` (`storage_unavailable`,
    `provider_rate_limited`). Every call is safe to repeat.
    """

    def put(self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream") -> None:
        """Store the object, replacing what was there; when this returns it is durable. A stream is read from where it
        stands. The content type is kept where the store can (S3)."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object."""
        ...

    def open(self, key: str) -> ObjectStream:
        """The object as a stream, for objects that memory should not hold."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key begins with `prefix` (any beginning, not only a folder), ordered by the key's UTF-8."""
        ...

    def folders(self) -> Sequence[str]:
        """The first parts of keys that have more than one, each once, ordered by their UTF-8; no call for each object."""
        ...

    def exists(self, key: str) -> bool: ...

    def sweep(self, before: datetime, folder: str = "") -> int:
        """Remove what puts have left that began before then and whose process died in the middle, which no list shows; the
        number of things removed. With `folder`, only of keys below it. A put that still runs fails, if it began before then.
        """
        ...

    def erase(self) -> int:
        """Remove everything that this bucket reaches, older versions too; the number of things removed."""
        ...
