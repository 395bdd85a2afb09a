"""A tenant's own database server, as the tenant names it: what the address may hold, without any I/O.

The address is a libpq URL, and libpq can be told to read files, to run on sockets and to send what it likes; so it is taken apart
here, and only what is known is put together again. Where it leads is judged as for webhooks (`domain.destinations`), once as text
and again at each connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from domain.destinations import Network, parse_destination
from domain.errors import FieldError, InvalidPayload

SAFE_MODES = ("require", "verify-ca", "verify-full")
MODES = ("disable", "allow", "prefer", *SAFE_MODES)
LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An account on a server. The password is kept out of `repr`."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    sslmode: str

    @property
    def is_encrypted(self) -> bool:
        """Whether a connection without TLS is refused."""
        return self.sslmode in SAFE_MODES

    @property
    def dsn(self) -> str:
        """The whole address, made of nothing but what was understood."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        roots = "&sslrootcert=system" if self.sslmode.startswith("verify-") else ""
        account = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return (
            f"postgresql://{account}@{host}:{self.port}/{quote(self.database, safe='')}?sslmode={self.sslmode}{roots}"
        )


def parse_server(url: str, allowed: Sequence[Network] = (), pointer: str = "/database/url") -> ServerAddress:
    """Judge a server's address by its text. Raises `InvalidPayload` that points at `pointer` and repeats no secret.

    Without `sslmode` it is `require`. A mode that would do without TLS is for networks that the operator lists (`allowed`).
    """
    try:
        address = _parsed(url)
    except ValueError as error:
        raise _refused(pointer, str(error)) from None
    if not address.is_encrypted and not allowed:
        raise _refused(pointer, f"sslmode must be one of {', '.join(SAFE_MODES)}.")
    host = f"[{address.host}]" if ":" in address.host else address.host
    scheme = "https" if address.is_encrypted else "http"
    try:
        parse_destination(f"{scheme}://{host}:{max(address.port, 1024)}/", allowed)
    except InvalidPayload as error:
        raise _refused(pointer, error.errors[0].detail) from None
    return address


def _parsed(url: str) -> ServerAddress:
    if len(url) > LONGEST or not url.isprintable():
        raise ValueError("Is too long, or holds what cannot be printed.")
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise ValueError("Is not a URL.") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("Must begin with postgresql://.")
    if not parts.hostname or "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("Must name one host.")
    if not parts.username or not parts.password:
        raise ValueError("Must hold a user and a password.")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ValueError("Must name a database.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    mode = options.pop("sslmode", "require")
    if options:
        raise ValueError("May hold no option but sslmode.")
    if mode not in MODES:
        raise ValueError(f"sslmode must be one of {', '.join(MODES)}.")
    return ServerAddress(parts.hostname, port, unquote(parts.username), unquote(parts.password), database, mode)


def _refused(pointer: str, why: str) -> InvalidPayload:
    fault = FieldError(pointer, "server_refused", why)
    return InvalidPayload("The database server cannot be used.", errors=(fault,))
