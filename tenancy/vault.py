"""Sealing: AES-256-GCM under a tenant's data key, itself wrapped by a master key.

A sealed value is `version (1) ‖ key number (2, big endian) ‖ nonce (12) ‖ ciphertext and tag`. The associated data
names tenant, table, column and row, so that a ciphertext moved elsewhere does not open. Source: NIST SP 800-38D.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from providers.kms.base import KeyRefused, KeyService

_HEADER = struct.Struct(">BH")
_FORMAT = 1
_NONCE_BYTES = 12
_DRAWN = 256
_LENGTH = struct.Struct(">H")
"""In front of what a key service wrapped."""


class SealBroken(Exception):
    """A sealed value does not open: another key, another place, or altered bytes. Says nothing of the content."""


_nonces: deque[bytes] = deque()
"""Random nonces that were drawn ahead: asking the system hands the interpreter to another thread, each time. Each is taken
once, for `pop` is atomic, and a forked child begins with none of its parent's.
"""

os.register_at_fork(after_in_child=_nonces.clear)


def _nonce() -> bytes:
    try:
        return _nonces.pop()
    except IndexError:
        drawn = os.urandom(_NONCE_BYTES * _DRAWN)
        _nonces.extend(drawn[start : start + _NONCE_BYTES] for start in range(_NONCE_BYTES, len(drawn), _NONCE_BYTES))
        return drawn[:_NONCE_BYTES]


def _seal(key: bytes, number: int, plaintext: bytes, place: bytes) -> bytes:
    nonce = _nonce()
    return _HEADER.pack(_FORMAT, number) + nonce + AESGCM(key).encrypt(nonce, plaintext, place)


def _open(key: bytes, sealed: bytes, place: bytes) -> bytes:
    start = _HEADER.size + _NONCE_BYTES
    try:
        return AESGCM(key).decrypt(sealed[_HEADER.size : start], sealed[start:], place)
    except (InvalidTag, ValueError):
        raise SealBroken(f"a sealed value does not open at {place.decode()}") from None


def _number(sealed: bytes) -> int:
    if len(sealed) < _HEADER.size + _NONCE_BYTES or sealed[0] != _FORMAT:
        raise SealBroken("not a sealed value of a known format")
    return int(_HEADER.unpack_from(sealed)[1])


@dataclass(frozen=True, slots=True)
class MasterRing:
    """The platform's master keys as (id, 32 bytes), the first one active; None for one that `service` holds.

    Under a key of the service each secret has a key of its own, which the service made and can open: what is wrapped may be
    of any size, and the service sees none of it. Wrapping and unwrapping then raise `Transient` while it is away.
    """

    keys: tuple[tuple[str, bytes | None], ...] = field(repr=False)
    service: KeyService | None = field(default=None, repr=False)
    kept_origin: bytes | None = field(default=None, repr=False)

    @property
    def active_id(self) -> str:
        return self.keys[0][0]

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, the active one first."""
        return tuple(key_id for key_id, _ in self.keys)

    @property
    def own(self) -> tuple[bytes, ...]:
        """The keys that are in the ring itself, newest first; never none. What needs no secrecy is signed with them."""
        return tuple(key for _, key in self.keys if key is not None)

    @property
    def origin(self) -> bytes:
        """What stays when keys come and go, for what is derived and lasts: the one that was set apart, or the oldest of `own`."""
        return self.kept_origin or self.own[-1]

    @property
    def verifying(self) -> tuple[bytes, ...]:
        """The keys by which something that lasts may have been signed: the origin, and those of `own`."""
        return (self.origin, *(key for key in self.own if key != self.origin))

    def wrap(self, secret: bytes, place: str) -> tuple[str, bytes]:
        """Seal a data or signing key under the active master key; returns the master key's id and the sealed bytes."""
        key_id, key = self.keys[0]
        if key is not None:
            return key_id, _seal(key, 0, secret, place.encode())
        own, wrapped = self._service().make(key_id, place)
        return key_id, _LENGTH.pack(len(wrapped)) + wrapped + _seal(own, 0, secret, place.encode())

    def unwrap(self, key_id: str, wrapped: bytes, place: str) -> bytes:
        """Open what `wrap` sealed at the same place; raises `SealBroken`."""
        for candidate, key in self.keys:
            if candidate == key_id:
                return _open(key, wrapped, place.encode()) if key is not None else self._ask(key_id, wrapped, place)
        raise SealBroken(f"master key {key_id} is not in the ring")

    def _ask(self, key_id: str, wrapped: bytes, place: str) -> bytes:
        if len(wrapped) < _LENGTH.size:
            raise SealBroken(f"a wrapped key is cut off at {place}")
        end = _LENGTH.size + int(_LENGTH.unpack_from(wrapped)[0])
        try:
            own = self._service().open(key_id, wrapped[_LENGTH.size : end], place)
        except KeyRefused:
            raise SealBroken(f"the key service does not open a key at {place}") from None
        return _open(own, wrapped[end:], place.encode())

    def _service(self) -> KeyService:
        if self.service is None:
            raise LookupError("a ring with a key at a service, but without the service")
        return self.service


@dataclass(frozen=True, slots=True)
class Vault:
    """One tenant's data keys by number; the highest seals, all open.

    `look_again` reads the keys afresh: a number that this vault does not know was made by a rotation since.
    """

    tenant_id: UUID
    keys: Mapping[int, bytes] = field(repr=False)
    look_again: Callable[[], Mapping[int, bytes]] | None = field(default=None, repr=False, compare=False)

    @property
    def newest(self) -> int:
        """The number of the key that seals."""
        return max(self.keys)

    def seal(self, plaintext: bytes, table: str, column: str, row: UUID) -> bytes:
        """Seal a value for exactly one place."""
        number = self.newest
        return _seal(self.keys[number], number, plaintext, self._place(table, column, row))

    def open(self, sealed: bytes, table: str, column: str, row: UUID) -> bytes:
        """Open a value sealed for this place; raises `SealBroken`."""
        number = _number(sealed)
        key = self.keys.get(number)
        if key is None and self.look_again is not None:
            key = self.look_again().get(number)
        if key is None:
            raise SealBroken("the data key that sealed this value is gone")
        return _open(key, sealed, self._place(table, column, row))

    def _place(self, table: str, column: str, row: UUID) -> bytes:
        return f"{self.tenant_id}|{table}|{column}|{row}".encode()


def sealed_under(number: int) -> bytes:
    """How every value begins that the data key of that number has sealed; for finding them where they are stored."""
    return _HEADER.pack(_FORMAT, number)


def new_data_key() -> bytes:
    """32 random bytes."""
    return os.urandom(32)


def archive_key_place(archive_id: UUID) -> str:
    """Where the wrapped key of an archive belongs."""
    return f"archives|{archive_id}"


def data_key_place(tenant_id: UUID, version: int) -> str:
    """Where a wrapped data key belongs: the associated data of its wrapping."""
    return f"tenant_keys|{tenant_id}|{version}"
