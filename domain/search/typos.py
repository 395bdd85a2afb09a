"""Words that somebody may have meant: those that few slips of the finger away stand in the documents."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 40
"""Characters of a word that is worth a guess."""


def slips_allowed(word: str) -> int:
    """How many slips a word of that length may hold; none in short ones, where nearly every word is near."""
    if len(word) < 4 or len(word) > LONGEST or not word.isalpha():
        return 0
    return 1 if len(word) < 8 else 2


def nearest(word: str, known: Iterable[str], at_most: int = 3) -> list[str]:
    """The known words that are fewest slips away, within what `slips_allowed` says; nearest first, then by the alphabet."""
    allowed = slips_allowed(word)
    if not allowed:
        return []
    near = ((slips(word, each, allowed), each) for each in known if abs(len(each) - len(word)) <= allowed)
    return [each for count, each in sorted(near) if count <= allowed][:at_most]


def slips(one: str, other: str, enough: int) -> int:
    """Letters inserted, dropped, changed, or swapped with their neighbour; `enough` + 1 where there are more.

    Source: optimal string alignment, a restricted form of Damerau, "A technique for computer detection and correction of spelling
    errors", CACM 1964.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        older, before, row = before, row, [i] + [0] * len(other)
        for j, seen in enumerate(other, start=1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != seen))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == seen:
                row[j] = min(row[j], older[j - 2] + 1)
        if min(row) > enough:
            return enough + 1
    return row[-1]
