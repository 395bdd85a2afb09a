"""A tenant's own account, from its configuration and opened secrets. Addresses that it chose are judged before use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings
from domain.destinations import parse_networks
from domain.errors import Permanent
from domain.notifications.failover import Candidate
from domain.notifications.provider_types import ENCRYPTIONS, TYPES
from providers.accounts.account import Account, MessageProvider
from providers.accounts.platform import local

SMTP_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """What a tenant has configured; `identity` tells accounts and their versions apart."""

    identity: str
    name: str
    type: str
    priority: int
    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    callback: str | None = None


def own_account(settings: Settings, own: OwnAccount) -> Account:
    """The account, not opened yet."""
    kind = TYPES[own.type]
    label = f"{own.type}:{own.name}"
    return Account(
        Candidate(label, own.priority, own=True),
        f"own:{own.identity}",
        lambda: _open(settings, own, label),
        device=own.type if own.type in {"fcm", "web_push"} else None,
        sender=own.config.get("from", settings.mail_from) if kind.channel == "email" else None,
        callback=own.callback,
        idempotent=kind.development_only,
    )


def _open(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    """Raises `Permanent` (`provider_misconfigured`)."""
    if TYPES[own.type].development_only:
        if settings.environment != "development":
            raise Permanent("This provider is for development only.", code="provider_misconfigured")
        outbox = settings.home / "outbox" if own.type.startswith("file_") else None
        return local(TYPES[own.type].channel, outbox)
    return _BUILDERS[own.type](settings, own, label)


def _smtp(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    from providers.email.smtp import SmtpEmailProvider, SmtpServer

    scheme, port = ENCRYPTIONS[own.config.get("encryption", "starttls")]
    server = SmtpServer(
        scheme, own.config["host"], own.config.get("port") or port, SMTP_TIMEOUT_SECONDS, own.config.get("user"),
        own.secrets.get("password"),
    )  # fmt: skip
    return SmtpEmailProvider(server, name=label, allowed=parse_networks(settings.webhook_private_networks))


def _ses(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    from providers.email.ses import SesAccount, SesEmailProvider

    config = own.config
    account = SesAccount(config["region"], config["access_key"], own.secrets["secret_key"], settings.ses_endpoint)
    return SesEmailProvider(account, label)


def _twilio(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    from providers.sms.twilio import API, TwilioAccount, TwilioSmsProvider

    config = own.config
    account = TwilioAccount(
        config["account_sid"], config["from"], own.secrets["auth_token"], settings.twilio_api_base or API
    )  # fmt: skip
    return TwilioSmsProvider(account, label)


def _fcm(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    from providers.push.fcm import API, TOKEN_URL, FcmPushProvider, ServiceAccount

    account = ServiceAccount.parse(own.secrets["service_account"])
    api, token_url = settings.fcm_api_base or API, settings.fcm_token_url or TOKEN_URL
    return FcmPushProvider(account, name=label, api=api, token_url=token_url)


def _web_push(settings: Settings, own: OwnAccount, label: str) -> MessageProvider:
    from providers.push.web_push import VapidIdentity, WebPushProvider

    identity = VapidIdentity(own.config["subject"], own.secrets["private_key"])
    return WebPushProvider(identity, parse_networks(settings.webhook_private_networks), label)


_BUILDERS = {"smtp": _smtp, "ses": _ses, "twilio": _twilio, "fcm": _fcm, "web_push": _web_push}
