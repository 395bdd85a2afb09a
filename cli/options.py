"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

_DELAY = re.compile(r"\+(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def read_payload(text: str) -> dict[str, Any]:
    """The payload that the option names. Raises `click.UsageError` unless it is a JSON object."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        payload = json.loads(text)
    except OSError as error:
        raise click.UsageError(f"--payload: {text[1:]} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--payload is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise click.UsageError('--payload must be a JSON object, as {"message": "hello"}')
    return payload


def read_time(text: str | None) -> str | None:
    """A moment as RFC 3339 in UTC, from one with an offset or from a delay such as +10m. Raises `click.UsageError`."""
    if text is None:
        return None
    try:
        if (delay := _DELAY.fullmatch(text)) is not None:
            moment = datetime.now(UTC) + timedelta(**{_UNITS[delay[2]]: int(delay[1])})
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise click.UsageError(f"{text!r} has no time zone; write {text}Z for UTC")
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise click.UsageError(f"{text!r} is no time; write 2026-11-30T08:00:00Z or +10m") from None
