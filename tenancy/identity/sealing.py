"""Secrets that belong to no tenant, sealed under a master key: its id, a zero byte, and what it sealed."""

from __future__ import annotations

from tenancy.vault import MasterRing


def seal(ring: MasterRing, secret: bytes, place: str) -> bytes:
    """Seal a secret for exactly one place, such as `signing_keys|<id>`."""
    master_key_id, sealed = ring.wrap(secret, place)
    return master_key_id.encode() + b"\0" + sealed


def open_sealed(ring: MasterRing, stored: bytes, place: str) -> bytes:
    """Open what `seal` made for this place. Raises `SealBroken`."""
    master_key_id, _, sealed = stored.partition(b"\0")
    return ring.unwrap(master_key_id.decode(), sealed, place)
