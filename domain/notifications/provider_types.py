"""The kinds of provider accounts that a tenant may bring: their channel, what they are told, and what of it is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import FieldError
from domain.notifications.channels import normal_email, normal_phone
from domain.notifications.sns import TOPIC


@dataclass(frozen=True, slots=True)
class ProviderType:
    """`config` and `secrets` map each field to whether it is required. Only secrets are sealed; they are never shown."""

    name: str
    channel: str
    config: Mapping[str, bool]
    secrets: Mapping[str, bool]
    development_only: bool = False


TYPES: dict[str, ProviderType] = {
    each.name: each
    for each in (
        ProviderType(
            "smtp", "email", {"host": True, "port": False, "encryption": False, "user": False, "from": True},
            {"password": False, "callback_secret": False},
        ),
        ProviderType(
            "ses", "email", {"region": True, "access_key": True, "from": True, "topic": False}, {"secret_key": True, "callback_secret": False}
        ),
        ProviderType("twilio", "sms", {"account_sid": True, "from": True}, {"auth_token": True}),
        ProviderType("fcm", "push", {}, {"service_account": True, "callback_secret": False}),
        ProviderType("web_push", "push", {"subject": True}, {"private_key": True, "callback_secret": False}),
        ProviderType("file_email", "email", {}, {"callback_secret": False}, development_only=True),
        ProviderType("file_sms", "sms", {}, {"callback_secret": False}, development_only=True),
        ProviderType("file_push", "push", {}, {"callback_secret": False}, development_only=True),
        ProviderType("console_email", "email", {}, {"callback_secret": False}, development_only=True),
        ProviderType("console_sms", "sms", {}, {"callback_secret": False}, development_only=True),
        ProviderType("console_push", "push", {}, {"callback_secret": False}, development_only=True),
    )
}  # fmt: skip

ENCRYPTIONS = {"none": ("smtp", 25), "starttls": ("smtp+starttls", 587), "tls": ("smtps", 465)}
"""The scheme and usual port of each."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_VAPID_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def faults(type_name: str, config: Mapping[str, Any], secrets: Mapping[str, str], at: str) -> list[FieldError]:
    """What is wrong with an account, `at` a JSON pointer. `secrets` are those that will be in force."""
    kind = TYPES[type_name]
    found: list[FieldError] = []
    for place, given, known in (("config", config, kind.config), ("secrets", secrets, kind.secrets)):
        found += [
            FieldError(f"{at}/{place}/{name}", "unknown_field", "Unknown field.") for name in given if name not in known
        ]
        found += [
            FieldError(f"{at}/{place}/{name}", "required", "Missing data for required field.")
            for name, required in known.items()
            if required and not given.get(name)
        ]
    if not found:
        found = [
            FieldError(f"{at}/config/{name}", "invalid", said)
            for name, value in config.items()
            if (said := _said_of(type_name, name, value))
        ]
        if type_name == "web_push" and not _VAPID_KEY.fullmatch(secrets["private_key"]):
            found.append(
                FieldError(f"{at}/secrets/private_key", "invalid", "Must be 32 bytes in base64url without padding.")
            )
    return found


def _said_of(type_name: str, name: str, value: Any) -> str | None:
    """Why the value cannot be used, or nothing."""
    if name == "port":
        return (
            None if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else "Must be a port."
        )
    if not isinstance(value, str) or len(value) > 320 or not value.isprintable():
        return "Must be printable text of at most 320 characters."
    if name == "from":
        return _sender_fault(type_name, value)
    wanted = {"region": _REGION, "account_sid": _SID, "host": _HOST, "topic": TOPIC}.get(name)
    if wanted is not None and not wanted.fullmatch(value):
        return "Has not the right form."
    if name == "encryption" and value not in ENCRYPTIONS:
        return f"Must be one of: {', '.join(ENCRYPTIONS)}."
    if name == "subject" and not value.startswith(("mailto:", "https://")):
        return "Must begin with mailto: or https://."
    return None


def _sender_fault(type_name: str, value: str) -> str | None:
    try:
        if type_name == "twilio":
            if not _SERVICE.fullmatch(value):
                normal_phone(value)
        else:
            normal_email(value.rpartition("<")[2].rstrip(">") if value.endswith(">") else value)
    except ValueError as error:
        return str(error)
    return None
