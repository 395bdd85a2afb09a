"""The channels, and what an address of each looks like. An address is kept in one spelling, so that it is found again."""

from __future__ import annotations

from enum import StrEnum

import phonenumbers
from email_validator import EmailNotValidError, validate_email


class Channel(StrEnum):
    """How a message reaches somebody. `in_app` is the recipient's feed, which needs no provider."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    IN_APP = "in_app"


CHANNELS = tuple(channel.value for channel in Channel)
ADDRESS_LIMIT = 320


def normal_email(text: str) -> str:
    """The address as suppressions and recipients are looked up by: its domain and letters in lower case.

    Raises `ValueError` with a sentence for the client. Whether the domain takes mail is not looked up.
    """
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("Is not a valid email address.") from None
    return found.normalized.lower()


def normal_phone(text: str) -> str:
    """The number in E.164: `+491701234567`. Raises `ValueError` for one that no network can have."""
    if not text.startswith("+"):
        raise ValueError("Must be in international form (E.164) and begin with +.")
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        raise ValueError("Is not a telephone number.") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("Has too few or too many digits for its country.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_address(channel: str, text: str) -> str:
    """The address in the channel's one spelling. Raises `ValueError`. A device's or a feed's is taken as it is."""
    if channel == Channel.EMAIL:
        return normal_email(text)
    if channel == Channel.SMS:
        return normal_phone(text)
    return text
