"""What a message says: the given text, or a template's variant rendered for its recipient, made into the channel's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import Permanent
from domain.notifications.links import headers, link_key, write_token
from domain.notifications.templates import Variant, missing, variant_for
from jobs.context import JobContext
from models.tenant import NotificationSettings, Recipient, Template, TemplateVersion
from providers.accounts import Account
from providers.email import EmailMessage
from providers.push import PushMessage
from providers.rendering import clean
from providers.sms import SmsMessage
from tasks.notifications.accounts import callback_url


@dataclass(frozen=True, slots=True)
class Content:
    """What is said, ready for a provider."""

    subject: str
    text: str
    html: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A template's variant to render, or fixed parts where `variables` is None."""

    parts: Mapping[str, str]
    variables: tuple[str, ...] | None = None
    template: str | None = None
    version: int | None = None
    locale: str | None = None
    category: str = ""

    def fixed(self) -> Content:
        """The content of a source without a template. HTML is cleaned."""
        html = self.parts.get("html")
        return Content(self.parts.get("subject", ""), self.parts["text"], None if html is None else clean(html))

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise `Permanent` (`template_variable_missing`) if the data lacks one."""
        lacking = missing(self.variables or (), data)
        if lacking:
            raise Permanent(f"The data lacks {', '.join(lacking)[:300]}.", code="template_variable_missing")


def source_of(
    session: Session,
    settings: NotificationSettings,
    payload: Mapping[str, Any],
    channel: str,
    recipient: Recipient | None,
) -> Source:
    """Where the content comes from. Raises `Permanent` (`template_unknown`, `template_variant_missing`)."""
    return Sources(session, settings, payload, channel).of(recipient)


class Sources:
    """Where the content of many messages comes from: the template is read once. Raises `Permanent` (`template_unknown`)."""

    def __init__(self, session: Session, settings: NotificationSettings, payload: Mapping[str, Any], channel: str):
        self._settings, self._payload, self._channel = settings, payload, channel
        self._template = None if payload["template"] is None else _template(session, settings.tenant_id, payload)
        self._by_locale: dict[str, Source] = {}

    def of(self, recipient: Recipient | None) -> Source:
        """The same object for all who read the same. Raises `Permanent` (`template_variant_missing`)."""
        own = None if recipient is None else recipient.locale
        wanted = "" if self._template is None else self._payload["locale"] or own or self._settings.locale
        if wanted not in self._by_locale:
            self._by_locale[wanted] = self._made(wanted)
        return self._by_locale[wanted]

    def _made(self, wanted: str) -> Source:
        payload = self._payload
        if self._template is None:
            given = {name: payload[name] for name in ("subject", "text", "html") if payload[name] is not None}
            return Source(given, category=payload["category"], locale=payload["locale"])
        template, version = self._template
        variants = [Variant(**each) for each in version.variants]
        variant = variant_for(variants, self._channel, wanted, template.default_locale)
        if variant is None:
            raise Permanent(
                f"The template {template.key} says nothing for {self._channel} in {wanted}.",
                code="template_variant_missing",
            )
        parts = {name: text for name in ("subject", "text", "html") if (text := getattr(variant, name)) is not None}
        category = payload["category"] or template.category
        return Source(parts, tuple(version.variables), template.key, version.number, variant.locale, category)


def _template(session: Session, tenant_id: UUID, payload: Mapping[str, Any]) -> tuple[Template, TemplateVersion]:
    key = payload["template"]
    found = session.execute(
        select(Template, TemplateVersion)
        .join(
            TemplateVersion,
            (TemplateVersion.tenant_id == Template.tenant_id)
            & (TemplateVersion.template_id == Template.id)
            & (TemplateVersion.number == (payload["template_version"] or Template.version)),
        )
        .where(Template.tenant_id == tenant_id, Template.key == key)
    ).one_or_none()
    if found is None:
        raise Permanent(f"There is no template {key}, or not in that version.", code="template_unknown")
    template, version = found
    return template, version


def template_data(payload: Mapping[str, Any], recipient: Recipient | None, unsubscribe_url: str) -> dict[str, Any]:
    """The variables: what the sender gave, and what we know."""
    person = {} if recipient is None else {"id": recipient.external_id, **recipient.attributes}
    return {"recipient": person, "unsubscribe_url": unsubscribe_url, **payload["data"]}


def unsubscribe_url(context: JobContext, message_id: UUID) -> str:
    """Where the message's recipient unsubscribes."""
    key = link_key(context.tenancy.ring.origin, "unsubscribe")
    token = write_token(key, context.tenant_id, message_id)
    return f"{context.settings.base_url}/api/v1/notifications/unsubscribe/{token}"


def outgoing(
    context: JobContext, account: Account, channel: str, message_id: UUID, to: str, content: Content, *, one_click: bool
) -> EmailMessage | SmsMessage | PushMessage:
    """The message in the form that the channel's providers take. `to` is the address, or a device's opened target."""
    if channel == "email":
        return EmailMessage(
            id=message_id, sender=account.sender or context.settings.mail_from, to=to, subject=content.subject,
            text=content.text, html=content.html,
            headers=headers(unsubscribe_url(context, message_id)) if one_click else {},
        )  # fmt: skip
    if channel == "sms":
        return SmsMessage(message_id, to, content.text, _callback(context, account, message_id))
    return PushMessage(message_id, to, content.subject, content.text)


def _callback(context: JobContext, account: Account, message_id: UUID) -> str | None:
    """Only where the outside can reach us. It names the message, since the provider's own name for it may never reach us."""
    if context.settings.public_url is None:
        return None
    return f"{account.callback or callback_url(context)}?message_id={message_id}"
