"""Message encryption for Web Push (RFC 8291, RFC 8188) and the sender's proof of who it is (VAPID, RFC 8292)."""

from __future__ import annotations

import base64
import binascii
import os
import struct
import time
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096
LARGEST_PLAINTEXT = 3993
"""What fits one record of a push service's 4096 bytes."""
_VAPID_SECONDS = 12 * 3600


def unpadded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The bytes of base64url without padding. Raises `ValueError`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def encrypt(
    plaintext: bytes,
    p256dh: bytes,
    auth: bytes,
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body of a push request, for the subscription's public key and authentication secret.

    `sender` and `salt` are fresh for each message, unless a test gives them. Raises `ValueError` for a bad key.
    """
    key = sender or ec.generate_private_key(ec.SECP256R1())
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    own = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = key.exchange(ec.ECDH(), receiver)
    seed = _hkdf(auth, shared, b"WebPush: info\0" + p256dh + own, 32)
    salt = salt or os.urandom(16)
    content_key = _hkdf(salt, seed, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, seed, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, plaintext + b"\x02", None)
    return salt + struct.pack(">IB", RECORD_BYTES, len(own)) + own + sealed


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A VAPID key: the 32 bytes of its number in base64url. Raises `ValueError`."""
    number = int.from_bytes(bytes_of(text), "big")
    return ec.derive_private_key(number, ec.SECP256R1())


def public_key(key: ec.EllipticCurvePrivateKey) -> str:
    """What a browser is given as `applicationServerKey`."""
    return unpadded(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def authorization(key: ec.EllipticCurvePrivateKey, endpoint: str, subject: str) -> str:
    """The `Authorization` header for a push service. `subject` is a `mailto:` or `https:` address of the sender."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(time.time()) + _VAPID_SECONDS, "sub": subject}
    return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={public_key(key)}"


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
