"""docs/security.md and docs/isolation.md name tests; they must be there, and every chapter and risk must be spoken of."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGE))

    assert len(named) > 40
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_chapter_and_every_risk_is_spoken_of() -> None:
    assert [number for number in range(1, 18) if not re.search(rf"\bV{number}\b", PAGE)] == []
    assert [number for number in range(1, 11) if f"| API{number} " not in PAGE] == []


def test_every_trap_on_the_page_on_isolation_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "isolation.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / "integration" / "tenancy" / file).read_text()
    ]

    assert len(named) >= 15
    assert missing == []
