"""Amazon SNS: whether it wrote a message, and subscribing to a topic. Only addresses of SNS itself are ever asked."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from domain.errors import InvalidSignature, Permanent, Transient
from domain.notifications.sns import SnsMessage, region_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TIMEOUT_SECONDS = 10.0
_LIMIT = 100_000
_KEPT = 64

_certificates: OrderedDict[str, Certificate] = OrderedDict()
_lock = Lock()


def verify(message: SnsMessage, endpoint: str | None = None) -> None:
    """Check the signature with the certificate that the message names. `endpoint` stands in for SNS where it is set.

    Raises `InvalidSignature`, and as `_read` where the certificate cannot be had.
    """
    from cryptography.exceptions import InvalidSignature as Broken
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    certificate = _certificate(message.certificate_url, endpoint)
    key, now = certificate.public_key(), datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidSignature
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature
    digest = hashes.SHA256() if message.version == "2" else hashes.SHA1()  # noqa: S303  # what version 1 is defined by
    try:
        key.verify(base64.b64decode(message.signature, validate=True), message.signed, padding.PKCS1v15(), digest)
    except (Broken, binascii.Error, ValueError):
        raise InvalidSignature from None


def confirm(message: SnsMessage, endpoint: str | None = None) -> None:
    """Subscribe, as a message of the kind `SubscriptionConfirmation` invites to. Doing it twice does it once."""
    if message.subscribe_url is not None:
        _read(message.subscribe_url, endpoint)


def _certificate(address: str, endpoint: str | None) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    with _lock:
        known = _certificates.get(address)
    if known is not None:
        return known
    try:
        found = load_pem_x509_certificate(_read(address, endpoint))
    except ValueError:
        raise InvalidSignature from None
    with _lock:
        _certificates[address] = found
        if len(_certificates) > _KEPT:
            _certificates.popitem(last=False)
    return found


def _read(address: str, endpoint: str | None) -> bytes:
    """GET an address of SNS. Raises `Permanent` for any other, and `Transient` when it does not answer as it should."""
    import httpx2

    if region_of(address) is None:
        raise Permanent("The address is none of SNS.", code="invalid_signature")
    parts = urlsplit(address)
    asked = address if endpoint is None else f"{endpoint.rstrip('/')}{parts.path}?{parts.query}"
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", asked) as answer,
        ):
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LIMIT:
                    raise Permanent("SNS answered with too much.", code="provider_rejected")
    except httpx2.TransportError:
        raise Transient("SNS cannot be reached.", code="provider_unreachable") from None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Transient(f"SNS failed ({answer.status_code}).", code="provider_unavailable")
    if answer.status_code != 200:
        raise Permanent(f"SNS refused ({answer.status_code}).", code="provider_rejected")
    return content
