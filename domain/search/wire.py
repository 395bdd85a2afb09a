"""What is said to an HTTP source and what it may answer, without any I/O. The format stands in docs/search.md.

A source is a stranger. What cannot be meant as an answer is refused as a whole; what is too much or does not belong into plain
text is taken away, and a note says so. Nothing that passes can be markup, a script's address or what PostgreSQL cannot hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from domain.search.fusion import Hit
from domain.search.query import Found, Query

ANSWER_LIMIT = 1_048_576
"""Bytes of an answer."""
DEPTH_LIMIT = 8
ID_LIMIT, CANONICAL_LIMIT, URL_LIMIT = 200, 300, 2_000
TITLE_LIMIT, SNIPPET_LIMIT = 300, 1_000
"""Characters that are kept."""
_RAW = 8
"""Of a text that is too long, this many times what is kept is looked at: markup takes space and is taken away."""

_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>?")
_UNSEEN = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
"""Control characters, those that turn the direction of writing or take no space, and halves of characters."""


class Malformed(ValueError):
    """The answer is not one. The text says why, in words of ours: nothing of the answer is in it."""


def request_body(query: Query, deadline: datetime, timeout_ms: int) -> bytes:
    """What is posted to a source: the question, and by when it must have answered."""
    asked = {
        "search_id": str(query.search_id),
        "q": query.text,
        "mode": query.mode,
        "filters": dict(query.filters),
        "limit": query.wanted,
        "deadline": deadline.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "timeout_ms": timeout_ms,
    }
    return json.dumps(asked, separators=(",", ":")).encode()


def read_answer(body: bytes, source: str, wanted: int) -> Found:
    """The hits of an answer, at most `wanted`, as plain text. Raises `Malformed`."""
    document = _document(body)
    if not isinstance(document, dict) or not isinstance(document.get("hits"), list):
        raise Malformed("it is not an object with a list of hits")
    notes: set[str] = set()
    hits: dict[str, Hit] = {}
    for each in document["hits"]:
        if len(hits) == wanted:
            notes.add("hits_cut")
            break
        hit = _hit(each, source, notes)
        if hits.setdefault(hit.id, hit) is not hit:
            notes.add("hits_repeated")
    return Found(list(hits.values()), notes=tuple(sorted(notes)))


def _document(body: bytes) -> Any:
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed("it is not JSON") from None
    level: list[Any] = [document]
    for _ in range(DEPTH_LIMIT):
        level = [inner for each in level for inner in _inside(each)]
    if level:
        raise Malformed(f"it is nested deeper than {DEPTH_LIMIT}")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _hit(raw: Any, source: str, notes: set[str]) -> Hit:
    if not isinstance(raw, dict):
        raise Malformed("a hit is not an object")
    hit_id = _identifier(raw, "id", ID_LIMIT)
    if hit_id is None:
        raise Malformed("a hit has no id")
    url = _url(raw, notes)
    canonical = _identifier(raw, "canonical_id", CANONICAL_LIMIT) or url or f"{source}:{hit_id}"
    return Hit(
        id=hit_id,
        canonical_id=canonical,
        source=source,
        title=_plain(_text(raw, "title") or hit_id, TITLE_LIMIT, notes),
        snippet=_plain(_text(raw, "snippet") or "", SNIPPET_LIMIT, notes),
        url=url,
    )


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"the {name} of a hit is not a string")
    return value


def _identifier(raw: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = _text(raw, name)
    if value is None:
        return None
    if not 1 <= len(value) <= limit or _UNSEEN.search(value):
        raise Malformed(f"the {name} of a hit is not a text of 1 to {limit} characters")
    return value


def _url(raw: Mapping[str, Any], notes: set[str]) -> str | None:
    """An address that a browser can be sent to: http and https, and nothing that hides where it leads."""
    value = _text(raw, "url")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        sound = False
    if sound and len(value) <= URL_LIMIT and not re.search(r"[\s<>\"'`\\]", value) and not _UNSEEN.search(value):
        return value
    notes.add("url_removed")
    return None


def _plain(text: str, limit: int, notes: set[str]) -> str:
    """One line of text without markup. What is left of a tag within a tag is markup no more once its `<` are gone."""
    looked_at = text[: limit * _RAW]
    untagged = _TAG.sub("", looked_at)
    if untagged != looked_at:
        notes.add("markup_removed")
        if _TAG.search(untagged):
            untagged = untagged.replace("<", "")
    plain = " ".join(_UNSEEN.sub(" ", untagged).split())
    if len(plain) > limit or len(text) > len(looked_at):
        notes.add("text_cut")
        plain = plain[: limit - 1].rstrip() + "…"
    return plain
