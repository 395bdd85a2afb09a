"""Mails about accounts. They carry links that open an account or a tenant, so they go straight to the provider: no message
row, no job and no log ever holds their text, and nobody's preferences stop them.

A mail that may have been sent is sent again: it has the same link, and one too many is better than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.errors import Transient, UnknownOutcome
from domain.identity.links import Purpose
from domain.identity.mails import Mail, link_mail
from jobs.context import JobContext
from jobs.handlers import handles
from providers.email import EmailMessage, email_provider
from tenancy.identity import invitations, links


@handles("account.mail_link")
def mail_link(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mail a link to an address, if an account has it and needs the link."""
    purpose, platform = Purpose(payload["purpose"]), context.tenancy.platform
    token = links.renew(platform, context.tenancy.ring, purpose, payload["email"])
    if token is not None:
        _send(context, payload["email"], _mail(context, purpose, token))
    return {"mailed": token is not None}


@handles("invitation.mail")
def mail_invitation(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mail an invitation that is still pending."""
    tenancy = context.tenancy
    found = invitations.to_mail(tenancy.platform, tenancy.ring, context.tenant_id, payload["invitation_id"])
    if found is not None:
        email, tenant_name, token = found
        _send(context, email, _mail(context, Purpose.INVITATION, token, tenant_name))
    return {"mailed": found is not None}


def _mail(context: JobContext, purpose: Purpose, token: str, inviting: str = "") -> Mail:
    settings = context.settings
    return link_mail(purpose, token, app_url=settings.app_url, api_url=settings.base_url, inviting=inviting)


def _send(context: JobContext, to: str, mail: Mail) -> None:
    context.check()
    message = EmailMessage(
        id=context.job_id, sender=context.settings.mail_from, to=to, subject=mail.subject, text=mail.text
    )
    try:
        email_provider(context.settings).send(message)
    except UnknownOutcome as error:
        raise Transient(error.detail, code=error.job_code) from error
