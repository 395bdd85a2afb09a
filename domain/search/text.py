"""Reading a question in the syntax of web searches: words, "phrases", `or`, -not. The last word may be unfinished."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

MOST_CLAUSES = 32
"""Of a question; what comes after them is not read."""

SHORTEST_PREFIX = 2
"""Characters of an unfinished word."""

_TOKEN = re.compile(r'(-?)"([^"]*)"|(\S+)')
_WORD = re.compile(r"\w", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Clause:
    """Something that a document must hold, or must not if `negated`. A phrase must be there word for word; of an `unfinished` word
    the beginning is enough.
    """

    text: str
    negated: bool = False
    phrase: bool = False
    unfinished: bool = False


Group = tuple[Clause, ...]
"""Clauses that a document fulfils together."""


def read_question(question: str) -> tuple[Group, ...]:
    """The groups of which a document must fulfil one. A group that only says what must not be there finds nothing, and is left out."""
    groups: list[list[Clause]] = [[]]
    matches = list(_TOKEN.finditer(question.replace("\0", " ")))[:MOST_CLAUSES]
    for match in matches:
        minus, phrase, word = match.groups()
        if word is None:
            clause = Clause(phrase, negated=minus == "-", phrase=True)
        elif word.lower() == "or":
            groups.append([])
            continue
        else:
            bare = word.replace('"', " ")
            clause = Clause(bare.removeprefix("-"), negated=bare.startswith("-"))
        if _WORD.search(clause.text):
            groups[-1].append(clause)
    if matches and groups[-1]:
        groups[-1][-1] = _perhaps_unfinished(groups[-1][-1], question)
    return tuple(tuple(group) for group in groups if any(not clause.negated for clause in group))


def _perhaps_unfinished(last: Clause, question: str) -> Clause:
    goes_on = question.endswith(last.text) and not last.negated and not last.phrase
    return replace(last, unfinished=goes_on and last.text.isalnum() and len(last.text) >= SHORTEST_PREFIX)


def quoted(lexeme: str) -> str:
    """A lexeme as PostgreSQL's `tsquery` writes it."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def any_of(parts: Sequence[str]) -> str:
    """A `tsquery` that one of the parts fulfils."""
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def all_of(parts: Sequence[str]) -> str:
    """A `tsquery` that all of the parts fulfil."""
    return parts[0] if len(parts) == 1 else f"({' & '.join(parts)})"
