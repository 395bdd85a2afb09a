"""What differs between the schema that a database has and the one that it should have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Part = tuple[str, str]
"""The sort of a thing and its name: ("column", "documents.title"), ("policy", "documents.tenant_rows")."""

Inventory = Mapping[Part, str]
"""What a database consists of, with the definition of each part, as PostgreSQL writes it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that is missing, is there in excess, or is another than it should be."""

    part: str
    name: str
    what: Literal["missing", "extra", "changed"]
    expected: str | None
    actual: str | None


def differences(expected: Inventory, actual: Inventory) -> list[Difference]:
    """All differences, by part and name. Of a table that is missing or extra its own parts are not told again."""
    found = [
        Difference(*part, _what(part, expected, actual), expected.get(part), actual.get(part))
        for part in sorted(expected.keys() | actual.keys())
        if expected.get(part) != actual.get(part)
    ]
    whole = {each.name for each in found if each.part == "table" and each.what != "changed"}
    return [each for each in found if each.part == "table" or each.name.partition(".")[0] not in whole]


def _what(part: Part, expected: Inventory, actual: Inventory) -> Literal["missing", "extra", "changed"]:
    if part not in actual:
        return "missing"
    return "changed" if part in expected else "extra"
