"""What is known about writing to an address: read here for whoever decides or explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import time
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.notifications.decision import Choices, Standing, Suppressed
from domain.notifications.quiet_hours import QuietHours
from models.tenant.notifications import NotificationSettings, Suppression
from models.tenant.recipients import Recipient


def settings_of(session: Session, tenant_id: UUID) -> NotificationSettings:
    """The tenant's row, or one with the defaults that is not written down."""
    found = session.get(NotificationSettings, (tenant_id, tenant_id))
    return found or NotificationSettings(
        tenant_id=tenant_id, id=tenant_id, preferences={}, quiet_hours=None, timezone="UTC", locale="en",
        platform_providers="when_none", version=0, providers_version=0,
    )  # fmt: skip


def recipient_at(session: Session, tenant_id: UUID, channel: str, address: str) -> Recipient | None:
    """Who has that address; the first who was made, if several have. A feed's address is the person's own name."""
    column = {"email": Recipient.email, "sms": Recipient.phone, "in_app": Recipient.external_id}.get(channel)
    if column is None:
        return None
    return session.scalars(
        select(Recipient).where(Recipient.tenant_id == tenant_id, column == address).order_by(Recipient.id).limit(1)
    ).first()


def suppressions_of(
    session: Session, tenant_id: UUID, channel: str, addresses: Iterable[str]
) -> Mapping[str, list[Suppressed]]:
    """The suppressions of each address that has some."""
    found: dict[str, list[Suppressed]] = {}
    rows = session.scalars(
        select(Suppression).where(
            Suppression.tenant_id == tenant_id, Suppression.channel == channel, Suppression.address.in_(list(addresses))
        )
    )
    for row in rows:
        found.setdefault(row.address, []).append(Suppressed(row.reason, row.category))
    return found


def standing(
    settings: NotificationSettings, recipient: Recipient | None, suppressions: Iterable[Suppressed]
) -> Standing:
    """All of it as the rules want it. The recipient's quiet hours and zone stand before the tenant's."""
    own = None if recipient is None else recipient.quiet_hours
    zone = None if recipient is None else recipient.timezone
    return Standing(
        suppressions=tuple(suppressions),
        recipient=Choices.of(None if recipient is None else recipient.preferences),
        tenant=Choices.of(settings.preferences),
        quiet=quiet_hours(settings.quiet_hours if own is None else own),
        timezone=zone or settings.timezone,
    )


def quiet_hours(stored: Mapping[str, Any] | None) -> QuietHours | None:
    """From the JSON that is kept; an empty object means none, whatever the tenant's default is."""
    if not stored:
        return None
    days = frozenset(stored.get("days") or range(7))
    return QuietHours(time.fromisoformat(stored["start"]), time.fromisoformat(stored["end"]), days)
