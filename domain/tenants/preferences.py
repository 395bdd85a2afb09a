"""What a tenant sets for itself: typed, with defaults, so that a reader never meets a missing value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from zoneinfo import available_timezones

from domain.search.log import DEFAULT_DAYS, LogLevel

LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
"""Language, script and region as BCP 47 writes them: `de`, `pt-BR`, `zh-Hant-TW`."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """`locale` is a BCP 47 tag and `timezone` an IANA name, for what people of the tenant are shown.

    With `provider_fallback` a request that its first provider cannot answer may go to another one of the platform's; without,
    it waits or fails. `backups` says whether the platform's scheduled backups take in this tenant. `search_log` is what the
    query log keeps of a question, and `search_log_days` for how long searches and their answers can be read.
    """

    locale: str = "en"
    timezone: str = "UTC"
    provider_fallback: bool = True
    backups: bool = True
    search_log: LogLevel = "full"
    search_log_days: int = DEFAULT_DAYS

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def preferences_of(stored: Mapping[str, Any]) -> Preferences:
    """What is stored, with defaults for what is not; what this version does not know is left out."""
    known = {field.name for field in fields(Preferences)}
    return Preferences(**{name: value for name, value in stored.items() if name in known})


def is_timezone(text: str) -> bool:
    """Whether this machine's time zone database has it."""
    return text in available_timezones()
