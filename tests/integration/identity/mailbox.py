"""Doing the part of the worker that mails links, and of the person who reads them."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from uuid import UUID

from jobs.account_mail import operator_tenant
from tenancy.access import Tenancy
from tests.integration.web.engine import run

KINDS = ["account.mail_link", "invitation.mail"]
_TOKEN = re.compile(r"^[\w-]{86}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Received:
    """A mail in the outbox."""

    to: str
    subject: str
    text: str

    @property
    def token(self) -> str:
        """The link's text."""
        (found,) = _TOKEN.findall(self.text)
        return str(found)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What the platform mails in the test."""

    tenancy: Tenancy

    def deliver(self, tenant_id: UUID | None = None) -> list[Received]:
        """Run the queued mail jobs of a tenant, by default of the platform's own; returns what was sent, oldest first."""
        where = tenant_id or operator_tenant(self.tenancy)
        rows = self.tenancy.platform.fetch(
            "SELECT id FROM jobs WHERE tenant_id = %(t)s AND kind = ANY(%(kinds)s) AND state = 'queued' ORDER BY id",
            {"t": where, "kinds": KINDS},
        )
        sent = [row["id"] for row in rows if run(self.tenancy, where, row["id"])["mailed"]]
        return [self.read(job_id) for job_id in sent]

    def read(self, job_id: UUID) -> Received:
        """The mail that a job sent."""
        raw = (self.tenancy.settings.home / "outbox" / f"{job_id}.eml").read_bytes()
        message = email.message_from_bytes(raw, policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        return Received(str(message["To"]), str(message["Subject"]), body.get_content().replace("\r\n", "\n"))

    def last_to(self, address: str, tenant_id: UUID | None = None) -> Received:
        """The last of the mails that are delivered now to an address."""
        return [mail for mail in self.deliver(tenant_id) if mail.to == address][-1]
