"""Connecting to a mail server; to one that a tenant chose, only where its addresses pass the rules."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from domain.destinations import Network, is_refused
from domain.errors import Permanent


def connect(
    encrypted: bool,  # TLS from the first byte
    host: str,
    port: int,
    greeting: str,
    timeout: float,
    allowed: Sequence[Network] | None,
) -> smtplib.SMTP:
    """A client that has read the server's greeting. Raises what smtplib does, and `Permanent` (`provider_misconfigured`)
    for an address that is refused.
    """
    if allowed is None:
        if encrypted:
            return smtplib.SMTP_SSL(host, port, greeting, timeout=timeout, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, greeting, timeout=timeout)
    options: dict[str, Any] = {"timeout": timeout, "allowed": allowed}
    if not encrypted:
        return _Guarded(host, port, greeting, **options)
    options["context"] = ssl.create_default_context()
    guarded: smtplib.SMTP = _GuardedSsl(host, port, greeting, **options)
    return guarded


class _Guarded(smtplib.SMTP):
    """Resolves the name itself and connects to a judged address; TLS still checks the name."""

    def __init__(self, *args: Any, allowed: Sequence[Network], **options: Any):
        self._allowed = allowed
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # smtplib's own place to choose one
        from providers.outbound.names import resolve

        addresses = resolve(host, port, timeout)
        # "https" asks for the rules of any public address; those of plain http would allow listed networks only.
        if any(is_refused(address, "https", self._allowed) for address in addresses):
            raise Permanent("The mail server has an address that may not be reached.", code="provider_misconfigured")
        for number, address in enumerate(addresses, 1):
            try:
                return socket.create_connection((str(address), port), timeout)
            except OSError:
                if number == len(addresses):
                    raise
        raise OSError(f"{host} has no address")


class _GuardedSsl(smtplib.SMTP_SSL, _Guarded):
    """The same with TLS from the first byte: `SMTP_SSL` wraps the socket that `_Guarded` made."""
