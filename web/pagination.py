"""Lists in pages, by an opaque cursor that fits only the list that it came from.

A cursor is the id of the last item seen, authenticated together with the tenant, the path, the order and the filters. Ids
are UUIDv7, so their order is that of creation, and a page never repeats or skips an item while others are inserted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import g, request

from domain.errors import FieldError, InvalidCursor
from web.context import tenancy

T = TypeVar("T")

_ID_BYTES, _MAC_BYTES = 16, 16


@dataclass(frozen=True, slots=True)
class Page:
    """What a list request asks for. Query one item more than `limit`, with ids beyond `after` in the given order."""

    limit: int
    newest_first: bool
    after: UUID | None
    seal: bytes

    @property
    def fetch_limit(self) -> int:
        """`limit` and one more, whose presence tells that there is a next page."""
        return self.limit + 1

    def answer(self, found: Sequence[T], id_name: str = "id") -> tuple[Envelope[T], dict[str, str]]:
        """The envelope and the headers of the page, for up to `fetch_limit` rows, objects or mappings with an id."""
        items = list(found[: self.limit])
        if len(found) <= self.limit:
            return Envelope(items, None), {}
        last = items[-1]
        last_id: UUID = last[id_name] if isinstance(last, Mapping) else getattr(last, id_name)
        cursor = write_cursor(last_id, self.seal)
        query = urlencode({**request.args.to_dict(), "cursor": cursor})
        address = f"{tenancy().settings.base_url}{request.path}?{query}"
        return Envelope(items, cursor), {"Link": f'<{address}>; rel="next"'}


@dataclass(frozen=True, slots=True)
class Envelope(Generic[T]):
    """A page as `web.schemas.base.page_schema` dumps it."""

    items: list[T]
    next_cursor: str | None


def read_page(arguments: Mapping[str, Any]) -> Page:
    """The page that the loaded arguments of a `PageQuerySchema` ask for; all but limit and cursor are its filters.

    Raises `InvalidCursor` for a cursor that was altered or belongs to another list.
    """
    filters = {name: value for name, value in arguments.items() if name not in {"limit", "cursor"}}
    seal = _seal(filters)
    cursor: str | None = arguments["cursor"]
    return Page(
        limit=arguments["limit"],
        newest_first=arguments["sort"].startswith("-"),
        after=None if cursor is None else read_cursor(cursor, seal),
        seal=seal,
    )


def _seal(filters: Mapping[str, Any]) -> bytes:
    return seal_of(request.path, filters)


def seal_of(path: str, filters: Mapping[str, Any]) -> bytes:
    """The key that authenticates cursors of the caller's list at `path`: the platform's oldest master key, bound to the list."""
    who = g.get("principal")
    place = [path, str(who and (who.tenant_id or who.subject)), sorted(filters.items())]
    return hmac.digest(tenancy().ring.origin, b"cursor\0" + json.dumps(place, default=str).encode(), hashlib.sha256)


def write_cursor(last: UUID, seal: bytes) -> str:
    """The cursor of the place `last`."""
    mac = hmac.digest(seal, last.bytes, hashlib.sha256)[:_MAC_BYTES]
    return base64.urlsafe_b64encode(last.bytes + mac).rstrip(b"=").decode()


def read_cursor(cursor: str, seal: bytes) -> UUID:
    """The place that the cursor names. Raises `InvalidCursor`."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    last, mac = raw[:_ID_BYTES], raw[_ID_BYTES:]
    genuine = len(raw) == _ID_BYTES + _MAC_BYTES and hmac.compare_digest(
        mac, hmac.digest(seal, last, hashlib.sha256)[:_MAC_BYTES]
    )
    if not genuine or write_cursor(UUID(bytes=last), seal) != cursor:
        raise InvalidCursor(
            "Take the cursor as it came, with the same filters, or begin without one.",
            errors=(FieldError("/query/cursor", "invalid_cursor", "Does not belong to this list."),),
        )
    return UUID(bytes=last)
