"""A file that only the platform's master keys open: compressed, then AES-256-GCM in chunks, written and read front to back.

Layout: `NXB1` ‖ salt (16) ‖ chunks, each its length (4, big endian) ‖ ciphertext and tag. A file's key is derived from the
backup's key, the file's name and the salt (HMAC-SHA-256), so no two files share one and the nonce is the chunk's number. The
associated data says whether a chunk is the last. So a file that was cut off, put together anew or renamed does not open.
Source: STREAM, in Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Permanent

_MAGIC, _SALT_BYTES, _TAG_BYTES = b"NXB1", 16, 16
_LENGTH = struct.Struct(">I")
_CHUNK = 1024 * 1024
_MORE, _LAST = b"more", b"last"


class SealedWriter:
    """Writes what it is given into `file`, which nobody can read before `finish`, nor without `key`."""

    def __init__(self, file: IO[bytes], key: bytes, name: str):
        salt = os.urandom(_SALT_BYTES)
        self._file, self._cipher = file, _cipher(key, name, salt)
        self._compressor = zlib.compressobj(6)
        self._pending, self._number = bytearray(), 0
        file.write(_MAGIC + salt)

    def write(self, data: bytes) -> None:
        """Take in some bytes."""
        self._pending += self._compressor.compress(data)
        while len(self._pending) > _CHUNK:  # never all of it: the last chunk is written by `finish`
            self._seal(_CHUNK, _MORE)

    def finish(self) -> None:
        """Write what is left, as the last chunk."""
        self._pending += self._compressor.flush()
        while len(self._pending) > _CHUNK:
            self._seal(_CHUNK, _MORE)
        self._seal(len(self._pending), _LAST)

    def _seal(self, size: int, place: bytes) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), bytes(self._pending[:size]), place)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        del self._pending[:size]
        self._number += 1


def opened(file: IO[bytes], key: bytes, name: str) -> Iterator[bytes]:
    """What a `SealedWriter` was given, in pieces. Raises `Permanent` (`backup_damaged`) if it is not whole and genuine."""
    head = file.read(len(_MAGIC) + _SALT_BYTES)
    if len(head) < len(_MAGIC) + _SALT_BYTES or not head.startswith(_MAGIC):
        raise _damaged(name)
    cipher, decompressor = _cipher(key, name, head[len(_MAGIC) :]), zlib.decompressobj()
    number, sealed = 0, _chunk(file, name)
    while sealed is not None:
        following = _chunk(file, name)
        try:
            piece = cipher.decrypt(_nonce(number), sealed, _LAST if following is None else _MORE)
            while piece:  # a megabyte may have been a gigabyte
                yield decompressor.decompress(piece, _CHUNK)
                piece = decompressor.unconsumed_tail
        except (InvalidTag, zlib.error):
            raise _damaged(name) from None
        number, sealed = number + 1, following
    if not decompressor.eof:
        raise _damaged(name)


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces cut into lines, each with its end."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def _chunk(file: IO[bytes], name: str) -> bytes | None:
    """The next chunk; None at the end of the file."""
    head = file.read(_LENGTH.size)
    if not head:
        return None
    size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    if not _TAG_BYTES <= size <= _CHUNK + _TAG_BYTES or len(sealed := file.read(size)) < size:
        raise _damaged(name)
    return sealed


def _cipher(key: bytes, name: str, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt + name.encode(), hashlib.sha256))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _damaged(name: str) -> Permanent:
    return Permanent(f"The backup is damaged: {name} is not what was written.", code="backup_damaged")
