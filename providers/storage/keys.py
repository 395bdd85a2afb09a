"""Object keys: one rule for every store, so that a key that works in one works in all."""

from __future__ import annotations

import unicodedata

from domain.errors import Permanent

LONGEST_KEY = 1024
LONGEST_PART = 240  # bytes as a file name, which may have 255, less what the file store adds


def check_key(key: str) -> str:
    """The key itself, if it is one: parts joined by `/`, NFC, at most 1,024 bytes of UTF-8, each part at most 240,
    where a `%` counts for three, as the file store writes it.

    No part is empty, `.` or `..` (so nothing is absolute, doubled or climbs), and nothing holds a backslash or a
    control character. Raises `Permanent` with `invalid_object_key`.
    """
    parts = _checked(key).split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _invalid("has an empty part, or climbs")
    return key


def check_prefix(prefix: str) -> str:
    """A prefix to list by: what any key could begin with, so also nothing, or a part cut short."""
    if prefix == "":
        return prefix
    *folders, _ = _checked(prefix).split("/")
    if any(part in ("", ".", "..") for part in folders):
        raise _invalid("has an empty part, or climbs")
    return prefix


def _checked(text: str) -> str:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise _invalid("is not Unicode text") from None
    if len(encoded) > LONGEST_KEY or any(_size(part) > LONGEST_PART for part in text.split("/")):
        raise _invalid("is too long")
    if "\\" in text or any(unicodedata.category(character) == "Cc" for character in text):
        raise _invalid("holds a backslash or a control character")
    if not unicodedata.is_normalized("NFC", text):
        raise _invalid("is not in Unicode's composed form (NFC)")
    return text


def _size(part: str) -> int:
    return len(part.encode()) + 2 * part.count("%")


def _invalid(why: str) -> Permanent:
    return Permanent(f"The object key {why}.", code="invalid_object_key")
