"""The archive's file: a ZIP of newline-delimited JSON and objects, written and read as a stream, with the manifest last.

A line of a table is `{"row": …}`, with `"sealed": {column: …}` where the row holds sealed values. These are sealed again, under
a key of the archive's own that only the platform's master key opens: who holds an archive reads its data, not its secrets.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any
from uuid import UUID

from domain.errors import Permanent
from providers.storage import ObjectStream
from tenancy.life.manifest import Manifest, TableEntry, decoded, encoded, from_bytes, is_genuine, signer
from tenancy.life.rows import Digest, Row, Table
from tenancy.vault import MasterRing, SealBroken, Vault, archive_key_place, new_data_key

MANIFEST, SIGNATURE, OBJECTS = "manifest.json", "manifest.sig", "objects.ndjson"
_CHUNK = 1024 * 1024
_LONGEST_LINE = 256 * 1024 * 1024


class ArchiveWriter:
    """Writes an archive into `file`, front to back. `finish` signs it; without that it is none."""

    def __init__(self, file: IO[bytes], archive_id: UUID, ring: MasterRing):
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._ring = ring
        key = new_data_key()
        self.archive_id = archive_id
        self.master_key_id, self.wrapped_key = ring.wrap(key, archive_key_place(archive_id))
        self._vault = Vault(archive_id, {1: key})
        self.tables: list[TableEntry] = []
        self.objects: list[dict[str, Any]] = []

    def table(self, part: str, table: Table, rows: Iterable[Row], vault: Vault) -> None:
        """Add a table's rows. `vault` opens what is sealed in them."""
        digest, hashed, name = Digest(), hashlib.sha256(), f"{part}/{table.name}.ndjson"
        with self._zip.open(name, "w", force_zip64=True) as entry:
            for row in rows:
                digest.add(row.line)
                line = self._line(table, row, vault)
                hashed.update(line)
                entry.write(line)
        self.tables.append(
            TableEntry(part, table.name, table.columns, digest.rows, digest.sha256, name, hashed.hexdigest())
        )

    def object(self, key: str, stream: ObjectStream) -> None:
        """Add an object."""
        name, hashed, size = f"objects/{len(self.objects):08}", hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as entry:
            while chunk := stream.read(_CHUNK):
                hashed.update(chunk)
                entry.write(chunk)
                size += len(chunk)
        self.objects.append({"key": key, "size": size, "sha256": hashed.hexdigest(), "file": name})

    def finish(self, **told: Any) -> Manifest:
        """Write the list of objects, the manifest and its signature. `told` are the manifest's other fields."""
        listed = b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in self.objects)
        self._zip.writestr(OBJECTS, listed)
        manifest = Manifest(
            archive_id=str(self.archive_id),
            master_key_id=self.master_key_id,
            wrapped_key=encoded(self.wrapped_key),
            tables=tuple(self.tables),
            objects=len(self.objects),
            object_bytes=sum(each["size"] for each in self.objects),
            objects_file=OBJECTS,
            objects_sha256=hashlib.sha256(listed).hexdigest(),
            **told,
        )
        raw = manifest.to_bytes()
        self._zip.writestr(MANIFEST, raw)
        self._zip.writestr(SIGNATURE, encoded(signer(self._ring.origin).sign(raw)))
        self._zip.close()
        return manifest

    def _line(self, table: Table, row: Row, vault: Vault) -> bytes:
        values = {column: value for column, value in row.sealed.items() if value is not None}
        if not values:
            return b'{"row":' + row.line.encode() + b"}\n"
        row_id = UUID(json.loads(row.line)["id"])
        sealed = {
            column: encoded(
                self._vault.seal(vault.open(bytes(value), table.name, column, row_id), table.name, column, row_id)
            )
            for column, value in values.items()
        }
        return b'{"row":' + row.line.encode() + b',"sealed":' + json.dumps(sealed).encode() + b"}\n"


class ArchiveReader:
    """An archive that is what the platform once wrote: opening checks the signature, `check` every file.

    `wrapping` is the archive's key where it was wrapped anew since, as `archives.wrapping` tells it.
    Raises `Permanent`: `archive_damaged`, `archive_not_genuine`, `archive_unknown_format`, `archive_key_missing`.
    """

    def __init__(self, file: IO[bytes], ring: MasterRing, wrapping: tuple[str, bytes] | None = None):
        try:
            self._zip = zipfile.ZipFile(file)
            raw, signature = self._small(MANIFEST), decoded(self._small(SIGNATURE).decode("ascii"))
        except (zipfile.BadZipFile, KeyError, ValueError, OSError, NotImplementedError):
            # What zipfile and b64decode raise for a file that was cut off, altered or never was an archive: a name that is
            # missing, bad base64 or text, an offset beyond the end, a compression or encryption that is not ours.
            raise Permanent("The file is no archive, or a part of one.", code="archive_damaged") from None
        if not any(is_genuine(raw, signature, signer(origin).public_key()) for origin in ring.verifying):
            raise Permanent("The archive was not made by this platform, or was changed.", code="archive_not_genuine")
        self.manifest = from_bytes(raw)
        archive_id = UUID(self.manifest.archive_id)
        try:
            master_key_id, wrapped = wrapping or (self.manifest.master_key_id, decoded(self.manifest.wrapped_key))
            key = ring.unwrap(master_key_id, wrapped, archive_key_place(archive_id))
        except SealBroken:
            raise Permanent("The master key of the archive's time is gone.", code="archive_key_missing") from None
        self.vault = Vault(archive_id, {1: key})

    def check(self) -> Iterator[str]:
        """Read everything and hold it against the checksums; gives each file's name when it is found whole."""
        for table in self.manifest.tables:
            self._check(table.file, table.file_sha256)
            yield table.file
        self._check(self.manifest.objects_file, self.manifest.objects_sha256)
        yield self.manifest.objects_file
        for each in self.objects():
            self._check(each["file"], each["sha256"])
            yield each["file"]

    def lines(self, entry: TableEntry) -> Iterator[tuple[str, dict[str, bytes]]]:
        """A table's rows: the line as PostgreSQL wrote it, and what of the row is sealed under the archive's key."""
        with self._zip.open(entry.file) as file:
            while line := file.readline(_LONGEST_LINE):
                yield _parted(line)

    def objects(self) -> Iterator[dict[str, Any]]:
        """`key`, `size`, `sha256` and `file` of each object."""
        with self._zip.open(self.manifest.objects_file) as file:
            while line := file.readline(_LONGEST_LINE):
                yield json.loads(line)

    def open(self, name: str) -> IO[bytes]:
        """An object's content."""
        return self._zip.open(name)

    def _small(self, name: str) -> bytes:
        with self._zip.open(name) as file:
            return file.read(64 * 1024 * 1024)

    def _check(self, name: str, expected: str) -> None:
        hashed = hashlib.sha256()
        try:
            with self._zip.open(name) as file:
                while chunk := file.read(_CHUNK):
                    hashed.update(chunk)
        except (KeyError, zipfile.BadZipFile, OSError, EOFError):
            hashed = hashlib.sha256(b"damaged")
        if hashed.hexdigest() != expected:
            raise Permanent(f"The archive is damaged: {name} is not what was written.", code="archive_damaged")


_ROW, _SEALED = b'{"row":', b',"sealed":'


def _parted(line: bytes) -> tuple[str, dict[str, bytes]]:
    """The row's own text, untouched: parsing and writing it anew would round its numbers."""
    body = line.removeprefix(_ROW).removesuffix(b"}\n")
    text = body.decode()
    _, end = _DECODER.raw_decode(text)
    rest = text[end:]
    if not rest:
        return text, {}
    sealed = json.loads(rest.removeprefix(_SEALED.decode()))
    return text[:end], {column: decoded(value) for column, value in sealed.items()}


_DECODER = json.JSONDecoder()
