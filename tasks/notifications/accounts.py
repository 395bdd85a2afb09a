"""Which provider accounts serve a tenant's channel, in the order in which they are asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import JobError, Transient
from domain.notifications.failover import PlatformUse, ordered
from domain.notifications.links import PLATFORM_ACCOUNT, link_key, write_token
from jobs.context import JobContext
from models.tenant import NotificationProvider, NotificationSettings
from providers.accounts import Account, OwnAccount, own_account, platform_accounts


def accounts_for(
    context: JobContext, session: Session, settings: NotificationSettings, channel: str, device: str | None = None
) -> list[Account]:
    """The tenant's own by priority, then the platform's as far as the tenant lets them. A device has its own kind."""
    rows = session.scalars(
        select(NotificationProvider).where(
            NotificationProvider.tenant_id == context.tenant_id, NotificationProvider.channel == channel,
            NotificationProvider.enabled,
        )
    ).all()  # fmt: skip
    own = [own_account(context.settings, _opened(context, row, settings.providers_version)) for row in rows]
    every = {
        account.candidate: account
        for account in (*own, *platform_accounts(context.settings, channel))
        if account.device is None or device is None or account.device == device
    }
    use: PlatformUse = settings.platform_providers  # type: ignore[assignment]  # held by a check constraint
    return [every[candidate] for candidate in ordered(list(every), use)]


def callback_url(context: JobContext, account_id: UUID = PLATFORM_ACCOUNT) -> str:
    """Where a provider reports what became of messages that went by the account."""
    key = link_key(context.tenancy.ring.origin, "callback")
    token = write_token(key, context.tenant_id, account_id)
    return f"{context.settings.base_url}/api/v1/notifications/callbacks/{token}"


def worst(errors: Sequence[JobError]) -> JobError:
    """What the job ends with when nobody took the message: with hope if anyone left some."""
    hopeful: list[JobError] = [error for error in errors if isinstance(error, Transient)]
    return (hopeful or list(errors))[-1]


def _opened(context: JobContext, row: NotificationProvider, version: int) -> OwnAccount:
    sealed = context.tenancy.vault(context.tenant_id).open(
        row.secret_sealed, "notification_providers", "secret_sealed", row.id
    )
    return OwnAccount(
        identity=f"{row.id}:{version}", name=row.name, type=row.type, priority=row.priority, config=row.config,
        secrets=json.loads(sealed), callback=callback_url(context, row.id),
    )  # fmt: skip
