"""How guessing is slowed down: by account and by address, whether the account exists or not.

Sources: OWASP ASVS 5.0, 6.3.1; OWASP Authentication Cheat Sheet. Every lock ends by itself soon, so that a stranger cannot
keep an owner out for long.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

ACCOUNT_ALLOWANCE = 4
"""Failures in a row that lock nothing; the fifth does."""
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=15)
QUIET = timedelta(hours=1)
"""After this long without a failure the count begins anew."""


def lock_delay(excess: int) -> timedelta:
    """How long no login is taken after that many failures beyond the allowance: 30 s after the first, doubling to 15 min."""
    return min(FIRST_DELAY * (1 << min(excess - 1, 16)), LONGEST_DELAY)


DELAYS = [lock_delay(excess) for excess in range(1, 8)]
"""By the excess, from 1; the last one stays."""


def account_subject(email: str) -> bytes:
    """What failures for an email, as normalised or as it was sent, are counted under."""
    return hashlib.sha256(b"account\0" + email.strip().lower().encode()).digest()


def address_subject(address: str) -> bytes:
    """What failures from an address are counted under. Of IPv6 it is the /64, which one customer usually has whole."""
    place = address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        pass
    else:
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        place = str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)
    return hashlib.sha256(b"address\0" + place.encode()).digest()
