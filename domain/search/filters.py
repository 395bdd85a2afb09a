"""Conditions on documents' metadata. Fields, operators and values are all held to a short list of shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPERATORS = ("eq", "in", "lt", "gt", "exists")
MOST_FILTERS, MOST_VALUES, LONGEST_TEXT = 10, 50, 500
MOST_FIELDS = 50
"""Of a document's metadata."""

Value = str | int | float | bool
FIELD = re.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True, slots=True)
class Filter:
    """`value` is a scalar for `eq`, `lt` and `gt`, a list of them for `in`, and whether the field is there for `exists`.

    Values compare within their type only: a number is never less than a text, and a field that is missing fulfils nothing but
    `exists` with false.
    """

    field: str
    op: str
    value: Any


def fault_of_field(name: object) -> str | None:
    """What is wrong with the name of a metadata field, if anything."""
    if isinstance(name, str) and FIELD.fullmatch(name):
        return None
    return "Must be 1 to 50 lower-case letters, digits and underscores, and begin with a letter."


def fault_of_value(value: object) -> str | None:
    """What is wrong with a metadata value, if anything."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or "\0" in value or not _writable(value):
            return f"Must be a text of at most {LONGEST_TEXT} characters."
        return None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if abs(value) < 1e18 else "Must be a number below 10^18."
    return "Must be a text, a number or a truth value."


def fault_of_filter(op: str, value: object) -> str | None:
    """What is wrong with an operator's value, if anything."""
    if op == "exists":
        return None if isinstance(value, bool) else "Must be true or false for `exists`."
    if op != "in":
        if op in {"lt", "gt"} and isinstance(value, bool):
            return "Truth values have no order."
        return fault_of_value(value)
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_VALUES:
        return f"Must be a list of 1 to {MOST_VALUES} values for `in`."
    return next((fault for fault in map(fault_of_value, value) if fault), None)


def parse(asked: Mapping[str, Any]) -> tuple[Filter, ...]:
    """The filters of a search: `{"year": {"gt": 2020, "lt": 2024}, "kind": {"in": ["memo", "letter"]}}`; a scalar alone is `eq`.

    Raises `BadFilters`.
    """
    asked_for = sum(len(each) if isinstance(each, Mapping) else 1 for each in asked.values())
    if max(len(asked), asked_for) > MOST_FILTERS:
        raise BadFilters({"_schema": [f"At most {MOST_FILTERS} conditions can be asked for at once."]})
    found: list[Filter] = []
    faults: dict[str, list[str]] = {}
    for name, condition in asked.items():
        operators = condition if isinstance(condition, Mapping) else {"eq": condition}
        fault = fault_of_field(name) or (None if operators else "Must name an operator.")
        for op, value in operators.items():
            unknown = (
                f"There is no operator {str(op)[:50]!r}: use {', '.join(OPERATORS)}." if op not in OPERATORS else None
            )
            fault = fault or unknown or fault_of_filter(op, value)
            found.append(Filter(name, op, value))
        if fault:
            faults[str(name)[:50]] = [fault]
    if faults:
        raise BadFilters(faults)
    return tuple(found)


class BadFilters(ValueError):
    """`faults` are what is wrong, by field, or under `_schema` with all of them together."""

    def __init__(self, faults: Mapping[str, Sequence[str]]):
        super().__init__("the filters are invalid")
        self.faults = faults


def conditions(filters: Sequence[Filter], column: str = "metadata") -> tuple[str, Mapping[str, Any]]:
    """SQL that a document's metadata must fulfil, and its parameters by name; no field or value stands in the text itself."""
    parts = ["true"]
    parameters: dict[str, Any] = {}
    for number, each in enumerate(filters):
        name, value = f"filter_field_{number}", f"filter_value_{number}"
        parameters[name] = each.field
        found = f"({column} -> CAST(:{name} AS text))"
        if each.op == "exists":
            parts.append(f"(({found} IS NOT NULL) = CAST(:{value} AS boolean))")
            parameters[value] = each.value
        elif each.op == "in":
            parts.append(f"({found} = ANY(CAST(:{value} AS jsonb[])))")
            parameters[value] = [json.dumps(one) for one in each.value]
        else:
            parts.append(_COMPARISONS[each.op].format(found=found, value=f"CAST(:{value} AS jsonb)"))
            parameters[value] = json.dumps(each.value)
    return " AND ".join(parts), parameters


_COMPARISONS = {
    "eq": "({found} = {value})",
    "lt": "({found} < {value} AND jsonb_typeof({found}) = jsonb_typeof({value}))",
    "gt": "({found} > {value} AND jsonb_typeof({found}) = jsonb_typeof({value}))",
}


def _writable(text: str) -> bool:
    """Not with half of a surrogate pair, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
