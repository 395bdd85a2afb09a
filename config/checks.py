"""What a setting must look like: the checks of single values, and the error that names those that do not pass."""

from __future__ import annotations

import base64
import binascii
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr


class SettingsError(Exception):
    """The environment cannot work. `problems` holds one line each; the command line prints them and exits with 2."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


def scheme(*allowed: str) -> AfterValidator:
    """An address of one of these schemes."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in allowed:
            raise ValueError(f"must be an address that begins with {' or '.join(f'{name}://' for name in allowed)}")
        return value

    return AfterValidator(check)


def networks() -> AfterValidator:
    """Networks, separated by commas."""

    def check(value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(part)
            except ValueError:
                raise ValueError("must be networks like 127.0.0.0/8, separated by commas") from None
        return value

    return AfterValidator(check)


def key() -> AfterValidator:
    """32 bytes in base64."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None and _key_bytes(value.get_secret_value()) is None:
            raise ValueError("must be 32 random bytes in base64")
        return value

    return AfterValidator(check)


def web_address() -> AfterValidator:
    """An address on the web; an empty variable is an unset one, as OpenTelemetry has it."""

    def check(value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with http:// or https://")
        return value

    return AfterValidator(check)


PostgresUrl = Annotated[SecretStr, scheme("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, scheme("redis", "rediss", "unix")]
BrokerUrl = Annotated[SecretStr, scheme("redis", "rediss", "amqp", "amqps")]
Port = Annotated[int, Field(ge=1, le=65535)]

_AT_KMS = ("kms:arn:", "kms:alias/")


def parse_key_ring(text: str) -> tuple[tuple[str, bytes | None], ...]:
    """Master keys as (id, 32 bytes), None for one at AWS KMS. Raises `SettingsError`."""
    ring = [_parse_master_key(entry) for entry in filter(None, (part.strip() for part in text.split(",")))]
    if not any(key for _, key in ring) or len({key_id for key_id, _ in ring}) != len(ring):
        raise SettingsError("NEXUS_MASTER_KEYS: at least one `id:base64` key, and every id once")
    return tuple(ring)


def oldest(ring: tuple[tuple[str, bytes | None], ...]) -> bytes:
    """The last of the keys that are here and not at a service: what came first."""
    return [secret for _, secret in ring if secret is not None][-1]


def _key_bytes(encoded: str) -> bytes | None:
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == 32 else None


def _parse_master_key(entry: str) -> tuple[str, bytes | None]:
    if entry.startswith(_AT_KMS):
        return entry, None
    key_id, _, encoded = entry.partition(":")
    secret = _key_bytes(encoded)
    if not key_id or secret is None:
        raise SettingsError(
            "NEXUS_MASTER_KEYS: each key is `id:base64` of 32 random bytes, or `kms:` and an ARN or alias, separated by commas"
        )
    return key_id, secret
