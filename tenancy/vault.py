"""Sealing: AES-256-GCM under a tenant's data key, itself wrapped by a master key.

A sealed value is `version (1) ‖ key number (2, big endian) ‖ nonce (12) ‖ ciphertext and tag`. The associated data
names tenant, table, column and row, so that a ciphertext moved elsewhere does not open. Source: NIST SP 800-38D.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER = struct.Struct(">BH")
_FORMAT = 1
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value does not open: another key, another place, or altered bytes. Says nothing of the content."""


def _seal(key: bytes, number: int, plaintext: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
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
    """The platform's master keys as (id, 32 bytes), the first one active."""

    keys: tuple[tuple[str, bytes], ...] = field(repr=False)

    @property
    def active_id(self) -> str:
        return self.keys[0][0]

    def wrap(self, secret: bytes, place: str) -> tuple[str, bytes]:
        """Seal a data or signing key under the active master key; returns the master key's id and the sealed bytes."""
        return self.active_id, _seal(self.keys[0][1], 0, secret, place.encode())

    def unwrap(self, key_id: str, wrapped: bytes, place: str) -> bytes:
        """Open what `wrap` sealed at the same place; raises `SealBroken`."""
        for candidate, key in self.keys:
            if candidate == key_id:
                return _open(key, wrapped, place.encode())
        raise SealBroken(f"master key {key_id} is not in the ring")


@dataclass(frozen=True, slots=True)
class Vault:
    """One tenant's data keys by number; the highest seals, all open."""

    tenant_id: UUID
    keys: Mapping[int, bytes] = field(repr=False)

    def seal(self, plaintext: bytes, table: str, column: str, row: UUID) -> bytes:
        """Seal a value for exactly one place."""
        number = max(self.keys)
        return _seal(self.keys[number], number, plaintext, self._place(table, column, row))

    def open(self, sealed: bytes, table: str, column: str, row: UUID) -> bytes:
        """Open a value sealed for this place; raises `SealBroken`."""
        key = self.keys.get(_number(sealed))
        if key is None:
            raise SealBroken("the data key that sealed this value is gone")
        return _open(key, sealed, self._place(table, column, row))

    def _place(self, table: str, column: str, row: UUID) -> bytes:
        return f"{self.tenant_id}|{table}|{column}|{row}".encode()


def new_data_key() -> bytes:
    """32 random bytes."""
    return os.urandom(32)


def data_key_place(tenant_id: UUID, version: int) -> str:
    """Where a wrapped data key belongs: the associated data of its wrapping."""
    return f"tenant_keys|{tenant_id}|{version}"
