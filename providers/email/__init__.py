"""Email: the Protocol, and which implementation the settings ask for."""

from __future__ import annotations

from config.settings import Settings
from providers.email.base import EmailMessage, EmailProvider, SentMessage

__all__ = ["EmailMessage", "EmailProvider", "SentMessage", "email_provider"]


def email_provider(settings: Settings) -> EmailProvider:
    """SMTP where `SMTP_URL` is set, else files in `NEXUS_HOME/outbox`. Raises `Permanent` for an unusable address."""
    if settings.smtp_url is not None:
        from providers.email.smtp import SmtpEmailProvider

        return SmtpEmailProvider(settings.smtp_url.get_secret_value())
    from providers.email.file import FileEmailProvider

    return FileEmailProvider(settings.home / "outbox")
