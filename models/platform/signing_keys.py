"""Ed25519 keys that sign access tokens. The newest active one signs; the others still verify until they retire."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped

from models.base import Created, Identified, PlatformBase


class SigningKey(Identified, Created, PlatformBase):
    """`private_sealed` is sealed under the master key; `public` is the raw 32 bytes that JWKS shows."""

    __tablename__ = "signing_keys"

    public: Mapped[bytes]
    private_sealed: Mapped[bytes]
    retired_at: Mapped[datetime | None]
