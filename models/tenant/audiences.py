"""To whom a broadcast goes, as conditions on recipients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists

from models.tenant.recipients import Recipient, RecipientDevice


def audience(tenant_id: UUID, channel: str, chosen: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Recipients of the tenant who have an address for the channel and match all that is chosen."""
    conditions: list[ColumnElement[bool]] = [Recipient.tenant_id == tenant_id]
    if channel == "email":
        conditions.append(Recipient.email.is_not(None))
    if channel == "sms":
        conditions.append(Recipient.phone.is_not(None))
    if channel == "push":
        device = RecipientDevice.tenant_id == tenant_id, RecipientDevice.recipient_id == Recipient.id
        conditions.append(exists().where(*device, RecipientDevice.gone_at.is_(None)))
    if chosen.get("recipients") is not None:
        conditions.append(Recipient.external_id.in_(chosen["recipients"]))
    if chosen.get("attributes"):
        conditions.append(Recipient.attributes.contains(chosen["attributes"]))
    return conditions
