"""Stripe's webhook signatures: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 of `t.body`.

Source: https://docs.stripe.com/webhooks#verify-manually.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from domain.errors import InvalidSignature

_LONGEST_TIMESTAMP = 15


def verify_stripe(raw: bytes, header: str, secrets: Sequence[str], now: float, tolerance: float = 300) -> None:
    """Return if one of `secrets` signed exactly these bytes within `tolerance` seconds of `now` (Unix time).

    Several secrets are valid while one is rotated. The future is as suspect as the past. Raises `InvalidSignature`,
    and nothing else, whatever the header holds.
    """
    timestamp, signatures = _parse(header)
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise InvalidSignature("No webhook secret is configured.")
    expected = [_signature(raw, secret, timestamp).encode() for secret in usable]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(matches):
        raise InvalidSignature("No signature in the header matches the body.")
    if not abs(now - timestamp) <= tolerance:
        raise InvalidSignature("The signature is too old, or the clocks differ: it is outside the replay window.")


def sign_stripe(raw: bytes, secret: str, timestamp: int) -> str:
    """The header that Stripe would send with these bytes at `timestamp` (Unix time, whole seconds)."""
    return f"t={timestamp},v1={_signature(raw, secret, timestamp)}"


def _signature(raw: bytes, secret: str, timestamp: int) -> str:
    return hmac.new(secret.encode(), b"%d." % timestamp + raw, hashlib.sha256).hexdigest()


def _parse(header: str) -> tuple[int, list[bytes]]:
    timestamps: list[str] = []
    signatures: list[bytes] = []
    for item in header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "t":
            timestamps.append(value)
        elif name == "v1":
            signatures.append(value.encode("utf-8", "surrogatepass"))
    if len(timestamps) != 1 or not signatures:
        raise InvalidSignature("The header needs one `t` and at least one `v1`.")
    text = timestamps[0]
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIMESTAMP):
        raise InvalidSignature("The header's time is not a number of seconds.")
    return int(text), signatures
