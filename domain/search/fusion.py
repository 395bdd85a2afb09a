"""Fusing ranked lists by rank, since the scores of different sources cannot be compared.

Each list gives a hit `weight / (60 + rank)`, ranks counted from 1; the sum orders the answer.
Source: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
SIGIR 2009.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

DAMPING = 60
DEFAULT_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Hit:
    """What a source found. Hits of the same `canonical_id` are the same thing, whichever source they come from.

    `snippet` marks matches as «match»; it is plain text, to be escaped by whoever shows it.
    """

    id: str
    canonical_id: str
    source: str
    title: str
    snippet: str
    url: str | None


@dataclass(frozen=True, slots=True)
class FusedHit:
    """A hit with its score and why it has it: its rank in each source that found it, and what that contributes."""

    hit: Hit
    score: float
    ranks: Mapping[str, int]
    contributions: Mapping[str, float]


def fuse(
    results: Mapping[str, Sequence[Hit]],
    weights: Mapping[str, float],
    limit: int | None,
    preferred: Collection[str] = (),
) -> list[FusedHit]:
    """The `limit` best hits of all sources, best first; `results` holds each source's hits in its own order.

    Of hits that are the same thing, the best placed one of a `preferred` source is shown, or of the others if none of those
    has it: a stranger may say that it knows the same thing, and not what that looks like. Equal scores are ordered by id, so
    the same results always give the same answer, in whichever order the sources came.
    """
    placed: dict[str, dict[str, tuple[int, Hit]]] = {}
    for source, hits in results.items():
        for rank, hit in enumerate(hits, start=1):
            placed.setdefault(hit.canonical_id, {}).setdefault(source, (rank, hit))
    fused = [_fused(by_source, weights, preferred) for by_source in placed.values()]
    return sorted(fused, key=lambda one: (-one.score, one.hit.id, one.hit.canonical_id))[:limit]


def _fused(
    by_source: Mapping[str, tuple[int, Hit]], weights: Mapping[str, float], preferred: Collection[str]
) -> FusedHit:
    def share(source: str, rank: int) -> float:
        return weights.get(source, DEFAULT_WEIGHT) / (DAMPING + rank)

    shares = {source: share(source, by_source[source][0]) for source in sorted(by_source)}
    best = min(shares, key=lambda source: (source not in preferred, -shares[source], source))
    ranks = {source: by_source[source][0] for source in shares}
    # fsum is exact, so the order of the sources does not move the last digit, and with it the order of the hits.
    return FusedHit(by_source[best][1], math.fsum(shares.values()), ranks, shares)
