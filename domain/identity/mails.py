"""What the platform mails to people about their accounts, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from domain.identity.links import LIFETIMES, Purpose

_PAGES = {
    Purpose.VERIFY_EMAIL: "verify-email",
    Purpose.RESET_PASSWORD: "reset-password",
    Purpose.INVITATION: "accept-invitation",
}
"""Pages of the front end, and routes below `/api/v1/auth`: they are named alike."""

_OPENINGS = {
    Purpose.VERIFY_EMAIL: "please confirm that this address is yours.",
    Purpose.RESET_PASSWORD: "someone asked for a new password for your account.",
    Purpose.INVITATION: "you are invited to join {inviting}.",
}
_ENDINGS = {
    Purpose.VERIFY_EMAIL: "If you have not made an account, leave this mail alone: somebody may have mistyped.",
    Purpose.RESET_PASSWORD: "If it was not you, leave this mail alone: your password stays as it is.",
    Purpose.INVITATION: "If you do not expect this, leave this mail alone.",
}
_SUBJECTS = {
    Purpose.VERIFY_EMAIL: "Confirm your email address",
    Purpose.RESET_PASSWORD: "Choose a new password",
    Purpose.INVITATION: "You are invited to {inviting}",
}


@dataclass(frozen=True, slots=True)
class Mail:
    """Subject and text. The text carries a link, so it is neither stored nor logged."""

    subject: str
    text: str = field(repr=False)


def link_mail(purpose: Purpose, token: str, *, app_url: str | None, api_url: str, inviting: str = "") -> Mail:
    """The mail with a link. Without a front end at `app_url` it says what to send to the API at `api_url`.

    `inviting` names the tenant of an invitation; line breaks and what is long are taken out of it.
    """
    inviting = " ".join(inviting.split())[:200]
    page = _PAGES[purpose]
    if app_url is not None:
        action = f"Open {app_url.rstrip('/')}/{page}?token={quote(token)}"
    else:
        action = f"Send this token to POST {api_url}/api/v1/auth/{page}:\n\n{token}"
    text = (
        f"Hello,\n\n{_OPENINGS[purpose].format(inviting=inviting)}\n\n{action}\n\n"
        f"It works once, within {_duration(LIFETIMES[purpose])}. {_ENDINGS[purpose]}\n\nNexus\n"
    )
    return Mail(_SUBJECTS[purpose].format(inviting=inviting), text)


def _duration(lifetime: timedelta) -> str:
    if lifetime.days:
        return f"{lifetime.days} days"
    return f"{int(lifetime.total_seconds() // 60)} minutes"
