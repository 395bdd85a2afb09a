"""Connecting to servers that tenants name: the address is resolved and judged at each connection, and that very one is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import psycopg
from psycopg.conninfo import conninfo_to_dict

from config.settings import Settings
from domain.destinations import Network, is_refused, parse_networks
from domain.tenants.servers import SAFE_MODES

Pin = Callable[[str], str]
"""From a DSN to the address to connect to."""


class AddressRefused(psycopg.OperationalError):
    """The server's name leads where tenants may not send us."""


def pin_of(settings: Settings) -> Pin:
    """The pin for tenants' own servers."""
    allowed = parse_networks(settings.tenant_private_networks)
    return lambda dsn: judged_address(dsn, allowed)


def judged_address(dsn: str, allowed: Sequence[Network]) -> str:
    """The first address of the DSN's host, for libpq's `hostaddr`. Raises `AddressRefused` if any of them is against the
    rules, and `psycopg.OperationalError` if there is none.
    """
    told = conninfo_to_dict(dsn)
    host, port = str(told["host"]), int(told.get("port") or 5432)
    scheme = "https" if told.get("sslmode") in SAFE_MODES else "http"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise psycopg.OperationalError(f"the name {host} cannot be resolved") from None
    addresses = [ip_address(entry[4][0]) for entry in found]
    if any(is_refused(address, scheme, allowed) for address in addresses):
        raise AddressRefused(f"{host} leads to an address that tenants may not reach")
    return str(addresses[0])
