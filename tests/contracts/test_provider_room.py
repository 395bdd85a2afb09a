"""What holds for the whole room: vendors' code is loaded on first use, and waits are read the same way everywhere."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from providers.retry_after import LONGEST_WAIT, retry_after

VENDORS = {"openai", "anthropic", "stripe", "boto3", "botocore", "genai_prices", "httpx2", "requests"}
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "module", ["providers.email", "providers.llm", "providers.payments", "providers.storage", "providers.llm.openai"]
)
def test_importing_a_room_loads_no_vendor(module: str) -> None:
    program = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert set(loaded.stdout.split()) & VENDORS == set()
    assert "providers" in loaded.stdout.split()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"RETRY-AFTER": "0.5"}, 0.5),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Thu, 99 Foo 2026 12:00:30 GMT"}, None),
    ],
)
def test_a_wait_is_read_in_seconds_and_never_absurd(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
