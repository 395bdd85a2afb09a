"""The operator's accounts, as the settings name them; where none is set, files in `NEXUS_HOME/outbox`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from config.settings import Settings
from domain.destinations import parse_networks
from domain.notifications.failover import Candidate
from providers.accounts.account import Account, MessageProvider


def platform_accounts(settings: Settings, channel: str) -> list[Account]:
    """The accounts for a channel. Nothing is opened yet, so nothing is raised."""
    found = {"email": _email, "sms": _sms, "push": _push}[channel](settings)
    return found or [_file(settings, channel)]


def _email(settings: Settings) -> list[Account]:
    accounts = []
    if settings.smtp_url is not None:
        url = settings.smtp_url.get_secret_value()

        def smtp() -> MessageProvider:
            from providers.email.smtp import SmtpEmailProvider

            return SmtpEmailProvider(url)

        accounts.append(_account("smtp", 10, smtp, url, sender=settings.mail_from))
    if settings.ses_region and settings.ses_access_key and settings.ses_secret_key:
        region, access, secret = (
            settings.ses_region,
            settings.ses_access_key,
            settings.ses_secret_key.get_secret_value(),
        )

        def ses() -> MessageProvider:
            from providers.email.ses import SesAccount, SesEmailProvider

            return SesEmailProvider(SesAccount(region, access, secret, settings.ses_endpoint))

        accounts.append(
            _account("ses", 20, ses, f"{region}:{access}:{settings.ses_endpoint}", sender=settings.mail_from)
        )
    return accounts


def _sms(settings: Settings) -> list[Account]:
    sid, token, sender = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_from
    if not (sid and token and sender):
        return []

    def twilio() -> MessageProvider:
        from providers.sms.twilio import API, TwilioAccount, TwilioSmsProvider

        account = TwilioAccount(sid, sender, token.get_secret_value(), settings.twilio_api_base or API)
        return TwilioSmsProvider(account)

    return [_account("twilio", 10, twilio, f"{sid}:{settings.twilio_api_base}")]


def _push(settings: Settings) -> list[Account]:
    accounts = []
    if settings.fcm_service_account is not None:
        file = settings.fcm_service_account.get_secret_value()

        def fcm() -> MessageProvider:
            from providers.push.fcm import API, TOKEN_URL, FcmPushProvider, ServiceAccount

            api, token_url = settings.fcm_api_base or API, settings.fcm_token_url or TOKEN_URL
            return FcmPushProvider(ServiceAccount.parse(file), api=api, token_url=token_url)

        accounts.append(_account("fcm", 10, fcm, f"{file}:{settings.fcm_api_base}", device="fcm"))
    if settings.vapid_private_key is not None:
        key = settings.vapid_private_key.get_secret_value()

        def web_push() -> MessageProvider:
            from providers.push.web_push import VapidIdentity, WebPushProvider

            identity = VapidIdentity(settings.vapid_subject, key)
            return WebPushProvider(identity, parse_networks(settings.webhook_private_networks))

        accounts.append(_account("web_push", 20, web_push, key, device="web_push"))
    return accounts


def _account(
    label: str,
    priority: int,
    build: Callable[[], MessageProvider],
    at: str,
    *,
    device: str | None = None,
    sender: str | None = None,
    idempotent: bool = False,
) -> Account:
    """`at` tells accounts apart that have the same label; of it only a hash is kept."""
    circuit = f"platform:{label}:{hashlib.sha256(at.encode()).hexdigest()}"
    return Account(Candidate(label, priority, own=False), circuit, build, device, sender, None, idempotent)


def _file(settings: Settings, channel: str) -> Account:
    outbox = settings.home / "outbox"
    return _account("file", 90, lambda: local(channel, outbox), str(outbox), sender=settings.mail_from, idempotent=True)


def local(channel: str, outbox: Path | None) -> MessageProvider:
    """The channel's development provider: files in `outbox`, or lines on the console without one."""
    from providers.email.console import ConsoleEmailProvider
    from providers.email.file import FileEmailProvider
    from providers.push.local import ConsolePushProvider, FilePushProvider
    from providers.sms.local import ConsoleSmsProvider, FileSmsProvider

    on_console: dict[str, Callable[[], MessageProvider]] = {
        "email": ConsoleEmailProvider, "sms": ConsoleSmsProvider, "push": ConsolePushProvider
    }  # fmt: skip
    in_files: dict[str, Callable[[Path], MessageProvider]] = {
        "email": FileEmailProvider, "sms": FileSmsProvider, "push": FilePushProvider
    }  # fmt: skip
    return on_console[channel]() if outbox is None else in_files[channel](outbox)
