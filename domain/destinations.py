"""Where a tenant may send us: the rules against server-side request forgery, without any I/O.

An address that a tenant chose is judged twice: as text when it is given, and as what it resolves to at each connection,
because a name may point elsewhere by then. Only globally routable unicast addresses pass, besides networks that the
operator lists. Source of the ranges: IANA's special-purpose address registries (RFC 6890) and OWASP's SSRF cheat sheet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from domain.errors import FieldError, InvalidPayload

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LIMIT = 2_000

_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata and DNS, on a public address
    )
)  # fmt: skip
_GLOBAL_V6 = IPv6Network("2000::/3")
"""Global unicast. Loopback, mapped and compatible IPv4, NAT64, unique local, link-local and multicast lie outside."""

_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address
        "2620:4f:8000::/48",
    )
)  # fmt: skip

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa")
_PORTS_BELOW_1024 = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart. `host` is a name in lower case or the text of an address, without brackets."""

    url: str
    scheme: str
    host: str
    port: int


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR form, separated by commas. Raises `ValueError`."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_refused(address: Address, scheme: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a connection to `address` is against the rules; `allowed` are the networks that the operator lists.

    Plain `http` reaches listed networks only.
    """
    if any(address.version == network.version and address in network for network in allowed):
        return False
    if scheme != "https":
        return True
    if isinstance(address, IPv4Address):
        return any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None:
        return True
    return address not in _GLOBAL_V6 or any(address in network for network in _REFUSED_V6)


def parse_destination(url: str, allowed: Sequence[Network] = (), pointer: str = "/url") -> Destination:
    """Judge a URL by its text. Raises `InvalidPayload` that points at `pointer` and says what to change."""
    try:
        return _parse(url, allowed)
    except ValueError as error:
        fault = FieldError(pointer, "url_refused", str(error))
        raise InvalidPayload("The URL cannot be used as a destination.", errors=(fault,)) from None


def _parse(url: str, allowed: Sequence[Network]) -> Destination:
    parts, port = _split(url)
    if parts.scheme not in {"https", "http"} or (parts.scheme == "http" and not allowed):
        raise ValueError("Must begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Must not hold credentials; the signature tells the receiver who sends.")
    if "#" in url:
        raise ValueError("Must not hold a fragment.")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port == 0 or (port < 1024 and port not in _PORTS_BELOW_1024):
        raise ValueError("The port must be 443, 80, or 1024 and above.")
    host = (parts.hostname or "").lower()
    _check_host(host, parts.scheme, allowed)
    return Destination(url, parts.scheme, host, port)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > URL_LIMIT:
        raise ValueError(f"Must have at most {URL_LIMIT} characters.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("Must be printable ASCII; write other characters percent-encoded, a host in punycode.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("Is not a URL.") from None
    return parts, port


def _check_host(host: str, scheme: str, allowed: Sequence[Network]) -> None:
    literal = _literal(host)
    if literal is None:
        _check_name(host, allowed)
    elif is_refused(literal, scheme, allowed):
        raise ValueError("The address is private or reserved.")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _check_name(host: str, allowed: Sequence[Network]) -> None:
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError("Has no valid host.")
    labels = host.rstrip(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError("Write an IPv4 address as four decimal numbers.")
    local = any(host.rstrip(".") == name or host.rstrip(".").endswith(f".{name}") for name in _LOCAL_NAMES)
    if not allowed and (local or len(labels) == 1):
        raise ValueError("Names this machine or network, not one that the internet can reach.")
