"""Ed25519 keys that sign access tokens. The newest that may sign does; the others verify what they have signed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class SigningKey(Identified, Created, PlatformBase):
    """`private_sealed` is sealed under the master key; `public` is the raw 32 bytes that JWKS shows.

    Shown from when it is made, it signs from `signs_from` on and verifies until `verifies_until`; `retired_at` ends it at
    once.
    """

    __tablename__ = "signing_keys"

    public: Mapped[bytes]
    private_sealed: Mapped[bytes]
    signs_from: Mapped[datetime] = mapped_column(server_default=func.now())
    verifies_until: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
