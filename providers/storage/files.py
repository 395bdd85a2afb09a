"""A bucket of files.

A key's last part is a file and the others are folders whose names end in `%`; a `%` in the key itself is written `%25`.
So `a` and `a/b` can both be objects, as they can in S3, and temporary files are never mistaken for objects.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from domain.errors import JobError, Permanent, Transient
from providers.durable_files import TEMPORARY_PREFIX, write_durably
from providers.storage.base import ObjectInfo, ObjectStream
from providers.storage.keys import check_key, check_prefix

_CHUNK = 1024 * 1024
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class FileBucket:
    """The objects under `root`, which is made when the first one is stored."""

    def __init__(self, root: Path):
        self._root = root.resolve()

    def put(self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream") -> None:
        path = self._path(key)
        with _disk():
            write_durably(path, _chunks(data))

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _disk():
            return path.read_bytes()

    def open(self, key: str) -> ObjectStream:
        path = self._path(key)
        with _disk():
            return _FileStream(path.open("rb"))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _disk():
            path.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        *folders, _ = check_prefix(prefix).split("/")
        found: list[ObjectInfo] = []
        start = _inside(self._root, folders)
        with _disk():
            for folder, names, files in os.walk(start):
                names[:] = [name for name in names if not (Path(folder) / name).is_symlink()]
                found += self._listed(Path(folder), files, prefix)
        yield from sorted(found, key=lambda info: info.key.encode())

    def folders(self) -> Sequence[str]:
        with _disk():
            found = list(self._root.iterdir()) if self._root.exists() else []
        names = (_unescaped(path.name.removesuffix("%")) for path in found if path.name.endswith("%"))
        return sorted((name for name in names if any(self.list(f"{name}/"))), key=str.encode)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def sweep(self, before: datetime, folder: str = "") -> int:
        start = folder_of(self._root, folder) if folder else self._root
        removed = 0
        with _disk():
            for path in start.rglob(f"{TEMPORARY_PREFIX}*"):
                with suppress(FileNotFoundError):  # it ended meanwhile
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()
                        removed += 1
        return removed

    def erase(self) -> int:
        count = sum(1 for _ in self.list())
        with _disk():
            if self._root.exists():
                shutil.rmtree(self._root)
        return count

    def _path(self, key: str) -> Path:
        *folders, name = check_key(key).split("/")
        path = _inside(self._root, folders) / _escaped(name)
        if path.is_symlink():
            raise _outside()
        return path

    def _listed(self, folder: Path, files: Iterable[str], prefix: str) -> Iterator[ObjectInfo]:
        parts = [_unescaped(part.removesuffix("%")) for part in folder.relative_to(self._root).parts]
        for file in files:
            key = "/".join([*parts, _unescaped(file)])
            path = folder / file
            if file.startswith(TEMPORARY_PREFIX) or path.is_symlink() or not key.startswith(prefix):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:  # deleted since the folder was read
                continue
            yield ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def folder_of(root: Path, key: str) -> Path:
    """The folder under `root` that holds the objects below the prefix `key`."""
    return _inside(root.resolve(), check_key(key).split("/"))


def _inside(root: Path, folders: Iterable[str]) -> Path:
    path = root.joinpath(*(f"{_escaped(part)}%" for part in folders))
    if path.resolve() != path:  # a link on the way
        raise _outside()
    return path


def _escaped(part: str) -> str:
    return part.replace("%", "%25")


def _unescaped(part: str) -> str:
    return part.replace("%25", "%")


def _outside() -> Permanent:
    return Permanent("The object's path is a link: it may lead out of the bucket.", code="object_outside_bucket")


def _chunks(data: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    while chunk := data.read(_CHUNK):
        yield chunk


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(error) from error


def _failure(error: OSError) -> JobError:
    if error.errno in _MISSING:
        return Permanent("There is no such object.", code="object_not_found")
    return Transient(f"The object store failed: {error.strerror}.", code="storage_unavailable")


class _FileStream:
    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        with _disk():
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()
