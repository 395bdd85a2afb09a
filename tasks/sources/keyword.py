"""The tenant's documents by their words, each in its own language.

Two steps. The inverted index (`models.tenant.DocumentWord`) gives candidates: documents that hold a word of each clause. From the
best of them PostgreSQL keeps those that fulfil the question in their own language, phrases and negations included, and
ranks them. The index alone bounds what is read, however often a word occurs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from domain.search.filters import Filter
from domain.search.fusion import Hit
from domain.search.text import Clause, Group, all_of, any_of, quoted, read_question
from domain.search.typos import nearest, slips_allowed
from tasks.sources.ranking import CANDIDATES, RANKED, Candidates, rank, row_hit

PREFIXES = 50
"""Words that an unfinished one may stand for."""

VOCABULARY = 5000
"""Words with the same first letter that a misspelt one is held against."""

# Loose index scans: one probe for each language, and one for each word that begins so, instead of one row for each document. All in
# one statement, for a round trip costs as much as what it does.
_WORDS_BETWEEN = """
    (SELECT word FROM document_words WHERE tenant_id = :tenant AND word >= :first AND word < :beyond ORDER BY word LIMIT 1)
    UNION ALL
    SELECT (SELECT w.word FROM document_words w WHERE w.tenant_id = :tenant AND w.word > between_.word AND w.word < :beyond
             ORDER BY w.word LIMIT 1)
      FROM between_ WHERE between_.word IS NOT NULL
"""
_COUNTED = """
SELECT jsonb_object_agg(t.word, (SELECT count(*) FROM (
           SELECT FROM document_words w WHERE w.tenant_id = :tenant AND w.word = t.word LIMIT :bound) AS x))
"""

_READ = text(
    f"""
WITH RECURSIVE used AS (
    (SELECT language FROM documents WHERE tenant_id = :tenant ORDER BY language LIMIT 1)
    UNION ALL
    SELECT (SELECT d.language FROM documents d WHERE d.tenant_id = :tenant AND d.language > used.language
             ORDER BY d.language LIMIT 1)
      FROM used WHERE used.language IS NOT NULL
), between_ AS ({_WORDS_BETWEEN}
), beginnings AS MATERIALIZED (
    SELECT word FROM between_ WHERE word IS NOT NULL LIMIT :prefixes
), read AS MATERIALIZED (
    SELECT used.language::text AS language, c.number, phraseto_tsquery(used.language, c.text)::text AS asked,
           tsvector_to_array(to_tsvector(used.language, c.text)) AS lexemes
      FROM used CROSS JOIN unnest(CAST(:texts AS text[])) WITH ORDINALITY AS c (text, number)
     WHERE used.language IS NOT NULL
)
SELECT (SELECT jsonb_agg(jsonb_build_array(language, number, asked, lexemes) ORDER BY language, number) FROM read) AS clauses,
       (SELECT jsonb_agg(word) FROM beginnings) AS beginnings,
       ({_COUNTED} FROM (SELECT word FROM beginnings UNION SELECT unnest(lexemes) FROM read) AS t) AS counts
"""
)
_COUNT = text(f"{_COUNTED} FROM unnest(CAST(:words AS text[])) AS t (word)")
_BEGINNING = text(
    f"WITH RECURSIVE between_ AS ({_WORDS_BETWEEN}) SELECT word FROM between_ WHERE word IS NOT NULL LIMIT :bound"
)


@dataclass(frozen=True, slots=True)
class Matches:
    """Documents that hold the words, best first, and which words were taken for which others."""

    hits: Sequence[Hit]
    corrected: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Read:
    """A clause as the tenant's languages read it: a `tsquery` for each that does not pass over it, and all words of theirs."""

    clause: Clause
    asked: Mapping[str, str]
    words: frozenset[str]
    beginnings: frozenset[str] = frozenset()
    meant: tuple[str, ...] = ()

    @property
    def any_word(self) -> frozenset[str]:
        return self.words | self.beginnings | frozenset(self.meant)

    def query(self, language: str) -> str | None:
        """The `tsquery` in that language; None where it passes over the clause."""
        if language not in self.asked:
            return None
        parts = [self.asked[language], *map(quoted, self.meant)]
        if self.clause.unfinished:
            parts.append(f"{quoted(self.clause.text.lower())}:*")
        return any_of(parts)


def match(session: Session, tenant_id: UUID, question: str, filters: Sequence[Filter], wanted: int) -> Matches:
    """The `wanted` best documents that fulfil the question and the filters."""
    groups = read_question(question)
    if not groups:
        return Matches((), {})
    languages, read, counts = _read(session, tenant_id, groups)
    if any(not counts.get(word) for each in read for word in each.words):
        read = [_guessed(session, tenant_id, each, counts) for each in read]
        meant = [word for each in read for word in each.meant]
        if meant:
            counts |= session.scalar(_COUNT, {"tenant": tenant_id, "words": meant, "bound": CANDIDATES})
    by_group: list[list[_Read]] = []
    position = 0
    for group in groups:
        by_group.append(read[position : position + len(group)])
        position += len(group)
    candidates = [found for group in by_group if (found := _candidates(group, languages, counts)) is not None]
    asked = {language: query for language in languages if (query := _whole(by_group, language)) is not None}
    if not candidates or not asked:
        return Matches((), {})
    judged = bool(filters) or any(each.clause.phrase or each.clause.negated for each in read)
    rows = rank(session, tenant_id, candidates, asked, filters, wanted, CANDIDATES if judged else RANKED)
    corrected = {each.clause.text: each.meant for each in read if each.meant}
    return Matches([row_hit(row) for row in rows], corrected if rows else {})


def _read(session: Session, tenant_id: UUID, groups: Sequence[Group]) -> tuple[list[str], list[_Read], dict[str, int]]:
    """The tenant's languages, the clauses as these read them, and in how many documents each word stands, up to `CANDIDATES`."""
    clauses = [clause for group in groups for clause in group]
    begun = next((clause.text.lower() for clause in clauses if clause.unfinished), "")
    parameters = {
        "tenant": tenant_id, "texts": [clause.text for clause in clauses], "bound": CANDIDATES, "prefixes": PREFIXES,
        **_between(begun),
    }  # fmt: skip
    row = session.execute(_READ, parameters).one()
    told = [_Told(*each) for each in row.clauses or ()]
    read = []
    for number, clause in enumerate(clauses, start=1):
        own = [each for each in told if each.number == number]
        asked = {each.language: each.asked for each in own if each.asked}
        words = frozenset(word for each in own for word in each.lexemes)
        read.append(_Read(clause, asked, words, frozenset((row.beginnings or ()) if clause.unfinished else ())))
    return sorted({each.language for each in told}), read, row.counts or {}


class _Told(NamedTuple):
    language: str
    number: int
    asked: str
    lexemes: Sequence[str]


def _between(first: str) -> dict[str, str]:
    """Parameters for the words that begin so; for none, where nothing has begun."""
    return {"first": first, "beyond": f"{first}\U0010ffff" if first else ""}


def _guessed(session: Session, tenant_id: UUID, each: _Read, counts: Mapping[str, int]) -> _Read:
    """The clause with the words that were perhaps meant, where none of its own stands anywhere."""
    if each.clause.negated or each.clause.phrase or any(counts.get(word) for word in each.any_word):
        return each
    word = min(each.words, key=len, default="")
    if not slips_allowed(word):
        return each
    known = session.scalars(_BEGINNING, {"tenant": tenant_id, "bound": VOCABULARY, **_between(word[0])})
    return replace(each, meant=tuple(nearest(word, known)))


def _candidates(group: Sequence[_Read], languages: Sequence[str], counts: Mapping[str, int]) -> Candidates | None:
    """What to look for in the index, or None where nothing can be found.

    A clause that one of the languages passes over (a stop word there) is not asked of all documents; it is where it is judged.
    """
    positive = [each for each in group if not each.clause.negated and each.asked]
    required = [each for each in positive if all(language in each.asked for language in languages)]
    if not positive:
        return None
    if not required:
        return Candidates(sorted({word for each in positive for word in each.any_word}), [])
    by_rarity = sorted(required, key=lambda each: sum(counts.get(word, 0) for word in each.any_word))
    if not sum(counts.get(word, 0) for word in by_rarity[0].any_word):
        return None
    first, *others = by_rarity
    return Candidates(sorted(first.any_word), [sorted(each.any_word) for each in others[:7]])


def _whole(groups: Sequence[Sequence[_Read]], language: str) -> str | None:
    """The question as a `tsquery` of that language; None if that passes over all of it."""
    parts = []
    for group in groups:
        held = [query for each in group if not each.clause.negated and (query := each.query(language))]
        lacked = [f"!({query})" for each in group if each.clause.negated and (query := each.query(language))]
        if held:
            parts.append(all_of([*held, *lacked]))
    return any_of(parts) if parts else None
