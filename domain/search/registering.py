"""What a tenant may say of an HTTP source, beyond the shapes of its fields."""

from __future__ import annotations

import re
from collections.abc import Sequence

from domain.destinations import Network, parse_destination
from domain.errors import FieldError, InvalidPayload
from domain.search.sources import NAME, OWN

HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""A header's name (RFC 9110, section 5.6.2)."""
SECRET = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
"""A header's value as every server takes it: no line ends, no space at its ends."""
SECRET_LIMIT = 4_000

_OURS = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive", "te",
        "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip


def faults(name: str, header_name: str, secret: str | None) -> list[FieldError]:
    """What is wrong with the name, the header or its value; nothing of the secret is repeated."""
    found: list[FieldError] = []
    if not NAME.fullmatch(name):
        found.append(FieldError("/name", "invalid", "Lower case letters, digits, dashes and underscores; at most 50."))
    elif name in OWN:
        found.append(FieldError("/name", "reserved", "The platform's own source has this name."))
    if not HEADER.fullmatch(header_name) or header_name.lower() in _OURS:
        found.append(FieldError("/header_name", "invalid", "Is not a header that a credential can be sent in."))
    if secret is not None and not SECRET.fullmatch(secret):
        found.append(
            FieldError("/secret", "invalid", "Must be printable ASCII in one line, without spaces at its ends.")
        )
    return found


def keeps_secret(before: str, after: str, allowed: Sequence[Network]) -> bool:
    """Whether a secret given for the one address may be sent to the other: to the same server alone. Who may change the
    address cannot thereby read the secret.
    """
    try:
        old, new = parse_destination(before, allowed), parse_destination(after, allowed)
    except InvalidPayload:
        return False
    return (old.scheme, old.host, old.port) == (new.scheme, new.host, new.port)


def last_four(secret: str) -> str:
    """What is shown of a secret: nothing of one so short that four characters would be most of it."""
    return secret[-4:] if len(secret) >= 12 else ""
