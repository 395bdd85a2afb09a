"""Secrets that the embedded platform makes for itself: drawn once, kept in the home, one file each.

An operator sets the same names in the environment to bring their own; those always win (see `platform`).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

from cli.embedded.home import Home, write_private


def _password() -> str:
    """192 random bits that need no quoting in a URL, a shell or a configuration file."""
    return secrets.token_hex(24)


GENERATORS: dict[str, Callable[[], str]] = {
    "NEXUS_MASTER_KEYS": lambda: f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "FLOWER_PASSWORD": _password,
    "STRIPE_WEBHOOK_SECRET": lambda: f"whsec_{secrets.token_hex(24)}",
    "postgres": _password,
    "nexus_owner": _password,
    "valkey": _password,
}


def kept(home: Home, name: str, first: str) -> str:
    """The secret `name` of this home, which is `first` at the first call and stays that."""
    path = home.secrets / name
    if not path.exists():
        write_private(path, first)
    return path.read_text(encoding="utf-8")


def secret(home: Home, name: str) -> str:
    """The secret `name` of this home, drawn at the first call. Files are 0600 in a directory of 0700."""
    path = home.secrets / name
    return path.read_text(encoding="utf-8") if path.exists() else kept(home, name, GENERATORS[name]())
