"""The query log: how much of a question a tenant lets it keep, and for how long."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

LogLevel = Literal["off", "redacted", "full"]
LEVELS: tuple[LogLevel, ...] = ("off", "redacted", "full")

DEFAULT_DAYS, MOST_DAYS = 30, 365
UNLOGGED = timedelta(days=1)
"""How long the answer to a search that is not logged can be read."""

_REDACTIONS = (
    (re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+"), "[email]"),
    (re.compile(r"https?://\S+", re.IGNORECASE), "[url]"),
    # What holds a digit and is long is a key, an account's number or a token rather than a word.
    (re.compile(r"(?<![^\W_])(?=[\w-]*\d)[\w-]{12,}", re.ASCII), "[token]"),
    (re.compile(r"\+?\(?\d(?:[\s./()-]*\d){4,}"), "[number]"),
)


def logged(text: str, level: LogLevel) -> str | None:
    """What is kept of a question; None for nothing.

    `redacted` takes out email addresses, URLs, keys (12 characters and more with a digit among them) and numbers of five
    digits and more, however these are grouped: what people search for that points at a person or opens something.
    """
    if level == "off":
        return None
    if level == "full":
        return text
    for pattern, name in _REDACTIONS:
        text = pattern.sub(name, text)
    return text
