"""Submissions that mail people about their accounts.

What the API does for a known address and for an unknown one is the same: it submits a job. The job looks whether there is an
account, so neither an answer nor its time tells.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from domain.errors import ServiceUnavailable
from domain.identity.links import Purpose
from domain.identity.principals import system
from jobs.submit import INTERNAL, NewJob
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope

PAUSE_SECONDS = 300
"""An address gets one mail of a purpose within each such stretch of time, however often it is asked for."""

_OPERATOR: LiteralString = "SELECT id FROM tenants WHERE is_operator AND state <> 'deleted'"


def operator_tenant(tenancy: Tenancy) -> UUID:
    """The platform's own tenant, in whose name it mails. Raises `ServiceUnavailable` before the platform is prepared."""
    rows = tenancy.platform.fetch(_OPERATOR, {}, operator_scope())
    if not rows:
        raise ServiceUnavailable("The platform has no tenant of its own yet; prepare it first.")
    found: UUID = rows[0]["id"]
    return found


def link_job(operator_tenant_id: UUID, purpose: Purpose, email: str) -> NewJob:
    """The job that mails a link of that purpose to whoever has an account under the normalised email."""
    payload = {"purpose": purpose.value, "email": email}
    return NewJob("account.mail_link", payload, system("identity", operator_tenant_id))


def asked_link_key(purpose: Purpose, email: str, now: datetime) -> str:
    """The idempotency key of a link that was asked for: the same within `PAUSE_SECONDS`."""
    digest = hashlib.sha256(email.encode()).hexdigest()
    return f"{INTERNAL}{purpose.value}:{digest}:{int(now.timestamp()) // PAUSE_SECONDS}"


def invitation_job(tenant_id: UUID, invitation_id: UUID) -> NewJob:
    """The job that mails an invitation."""
    return NewJob("invitation.mail", {"invitation_id": str(invitation_id)}, system("identity", tenant_id))
