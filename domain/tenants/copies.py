"""New ids for rows that are copied beside their living originals."""

from __future__ import annotations

import hashlib
from uuid import UUID


def copied_id(original: UUID, tenant_id: UUID) -> UUID:
    """The id that the row `original` gets in the copy `tenant_id`: the same every time, unlike any other's.

    Its first 48 bits, the time of a UUIDv7 (RFC 9562), stay, so that lists keep their order and jobs their month.
    """
    digest = hashlib.sha256(tenant_id.bytes + original.bytes).digest()
    bits = int.from_bytes(original.bytes[:6] + digest[:10], "big")
    bits = bits & ~(0xF << 76) | (7 << 76)
    return UUID(int=bits & ~(0x3 << 62) | (0x2 << 62))
