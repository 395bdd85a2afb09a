"""Addresses of databases, taken apart and put together."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit


def with_credentials(dsn: str, user: str, password: str, database: str | None = None) -> str:
    """The same server and options as `dsn` under another account and, if given, another database."""
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    path = parts.path if database is None else f"/{quote(database, safe='')}"
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{address}"
    return urlunsplit((parts.scheme, netloc, path, parts.query, ""))


def with_address(dsn: str, address: str) -> str:
    """The same account and database at the host, port and options of `address`."""
    parts, other = urlsplit(dsn), urlsplit(address)
    netloc = f"{parts.netloc.rpartition('@')[0]}@{other.netloc.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, netloc, parts.path, other.query, ""))
