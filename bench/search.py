"""Searching the tenant's documents: keyword and hybrid beside the same SQL by hand, and how many of the nearest an index finds.

Words are drawn by Zipf's law from a vocabulary, as in natural text, so that some stand in nearly every document and most in
few. The peer is what one would write without row-level security, as an account that it does not bind: a GIN index over the
same `tsvector`, and an exact comparison of the same vectors.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from rich.progress import Progress

from bench.figures import spread
from bench.ground import Ground
from cli.embedded.postgres import EmbeddedPostgres
from domain.identity.principals import system
from domain.ids import new_id
from domain.search.filters import parse
from domain.search.fusion import Hit, fuse
from jobs.context import JobContext
from tasks.sources import keyword, semantic
from tenancy.servers import pool_database

WORDS = 60
"""Of a document, in the mean."""
VOCABULARY = 30_000
DIMENSIONS = 256
NEAREST = 10
RARE = 100
"""One in so many documents is of the kind that filtered searches ask for."""
_HNSW = f"ix_document_embeddings_{DIMENSIONS}"
NEIGHBOURS = 4
"""Other tenants in the same database, each with a twentieth of the documents."""

_THEMES = [[random.Random(f"{theme}/{each}").gauss(0, 1) for each in range(DIMENSIONS)] for theme in range(200)]

_GIN = """
SELECT external_id, title, url, ts_headline('simple', body, asked, 'StartSel=«, StopSel=», MaxWords=30, MinWords=10, MaxFragments=2')
  FROM (SELECT d.*, asked, ts_rank_cd(search, asked) AS score FROM documents d, websearch_to_tsquery('simple', %(q)s) AS asked
         WHERE tenant_id = %(tenant)s AND search @@ asked ORDER BY score DESC, external_id LIMIT %(wanted)s) AS found
 ORDER BY score DESC, external_id
"""
_EXACT = """
SELECT d.external_id FROM document_embeddings e JOIN documents d ON d.tenant_id = e.tenant_id AND d.id = e.document_id
 WHERE e.tenant_id = %(tenant)s AND d.metadata ->> 'kind' LIKE %(kind)s
 ORDER BY e.embedding <=> %(vector)s::vector, d.external_id LIMIT %(wanted)s
"""


def measure(ground: Ground, documents: int, questions: int, progress: Progress) -> dict[str, Any]:
    """Seconds of each way to search, by spread, and the recall of filtered searches by meaning."""
    draw = random.Random(7)
    tenant = ground.tenant()
    task = progress.add_task("documents", total=documents + documents // 20 * NEIGHBOURS)
    context = _context(ground, tenant)
    with closing(_superuser(ground)) as peer:
        peer.execute(f"DROP INDEX {_HNSW}")  # and made anew of all at once, which takes a tenth of the time
        stored = _fill(ground, tenant, documents, draw, lambda count: progress.advance(task, count))
        for _ in range(NEIGHBOURS):
            _fill(ground, ground.tenant(), documents // 20, draw, lambda count: progress.advance(task, count))
        _index(peer)
        asked = [_question(draw) for _ in range(questions)]
        vectors = [_vector(draw) for _ in range(questions)]
        task = progress.add_task("searches", total=questions)
        taken: dict[str, list[float]] = defaultdict(list)
        recalls: list[float] = []
        for q, vector in zip(asked, vectors, strict=True):
            taken["keyword"].append(_timed(partial(_keyword, context, q)))
            taken["by hand (GIN), no policy"].append(_timed(partial(_gin, peer, tenant, q)))
            taken["the same under the policy"].append(_timed(partial(_gin_bound, ground, tenant, q)))
            taken["hybrid"].append(_timed(partial(_hybrid, context, q, vector)))
            taken["semantic, exact by hand"].append(_timed(partial(_exact, peer, tenant, vector, "%")))
            recalls.append(_recall(context, peer, tenant, vector))
            progress.advance(task)
        sizes = _sizes(peer)
    return {
        "documents": documents,
        "stored_per_second": stored,
        "seconds": {name: spread(each) for name, each in taken.items()},
        "recall": statistics.mean(recalls),
        "mib": sizes,
    }


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _keyword(context: JobContext, q: str) -> Sequence[Hit]:
    with context.session() as session:
        return keyword.match(session, context.tenant_id, q, (), NEAREST).hits


def _hybrid(context: JobContext, q: str, vector: Sequence[float]) -> list[Hit]:
    """What a hybrid search does once the model has answered."""
    with context.session() as session:
        near = semantic.nearest(session, context.tenant_id, semantic.Vector(vector, "bench/m"), (), 50)
        words = keyword.match(session, context.tenant_id, q, (), 50).hits
    return [one.hit for one in fuse({"keyword": words, "semantic": near}, {}, NEAREST)]


def _recall(context: JobContext, peer: psycopg.Connection[Any], tenant: UUID, vector: Sequence[float]) -> float:
    """The share of the truly nearest documents of the rare kind that a search finds."""
    with context.session() as session:
        hits = semantic.nearest(
            session, context.tenant_id, semantic.Vector(vector, "bench/m"), parse({"kind": "rare"}), NEAREST
        )
    truly = set(_exact(peer, tenant, vector, "rare"))
    return len(truly & {hit.id for hit in hits}) / len(truly)


def _gin(peer: psycopg.Connection[Any], tenant: UUID, q: str) -> list[str]:
    return [row[0] for row in peer.execute(_GIN, {"q": q, "tenant": tenant, "wanted": NEAREST})]


def _gin_bound(ground: Ground, tenant: UUID, q: str) -> object:
    """By the account that row-level security binds: the index is there, and cannot be used."""
    return ground.tenancy.fetch_many(tenant, [(_GIN, {"q": q, "tenant": tenant, "wanted": NEAREST})])


def _exact(peer: psycopg.Connection[Any], tenant: UUID, vector: Sequence[float], kind: str) -> list[str]:
    parameters = {"tenant": tenant, "kind": kind, "vector": str(list(vector)), "wanted": NEAREST}
    return [row[0] for row in peer.execute(_EXACT, parameters)]


def _superuser(ground: Ground) -> psycopg.Connection[Any]:
    """Whom no policy binds."""
    dsn = psycopg.conninfo.make_conninfo(
        EmbeddedPostgres(ground.home).superuser_dsn, dbname=pool_database(ground.settings)
    )
    return psycopg.connect(dsn, autocommit=True)


def _index(peer: psycopg.Connection[Any]) -> None:
    """The product's index over vectors, the peer's over words, and statistics of all."""
    peer.execute("SET maintenance_work_mem = '1GB'")
    peer.execute(
        f"CREATE INDEX {_HNSW} ON document_embeddings USING hnsw ((embedding::vector({DIMENSIONS})) vector_cosine_ops)"
        f" WHERE dimensions = {DIMENSIONS}"
    )
    peer.execute("CREATE INDEX bench_gin ON documents USING gin (search)")
    peer.execute("VACUUM ANALYZE documents, document_words, document_embeddings")


def _sizes(peer: psycopg.Connection[Any]) -> dict[str, float]:
    rows = peer.execute(
        "SELECT c, pg_total_relation_size(c::regclass) / 1048576.0 FROM unnest(ARRAY['documents', 'document_words', 'bench_gin']) AS c"
    )
    return {name: round(float(size), 1) for name, size in rows}


def _context(ground: Ground, tenant: UUID) -> JobContext:
    who = system("bench", tenant)
    return JobContext(new_id(), "search.source", 1, new_id(), who, ground.tenancy, time.monotonic() + 3600, _Silent())


class _Silent:
    def progress(self, _job_id: UUID, _token: UUID, _done: int, _total: int | None, _message: str) -> None:
        """Nobody waits."""


def _fill(ground: Ground, tenant: UUID, documents: int, draw: random.Random, done: Callable[[int], None]) -> float:
    """Documents with vectors; returns how many were stored in a second, their words with them."""
    seconds, batch = 0.0, 1000
    for first in range(0, documents, batch):
        numbers = range(first, min(first + batch, documents))
        ids = [new_id() for _ in numbers]
        rows = {
            "ids": ids, "names": [f"d{number}" for number in numbers],
            "titles": [_text(draw, 4) for _ in numbers], "bodies": [_text(draw, WORDS) for _ in numbers],
            "kinds": ["rare" if number % RARE == 0 else "plain" for number in numbers], "tenant": tenant,
            "vectors": [str(_vector(draw)) for _ in numbers], "size": DIMENSIONS,
        }  # fmt: skip
        began = time.perf_counter()
        ground.tenancy.fetch_many(tenant, [(_PUT, rows)])
        seconds += time.perf_counter() - began
        ground.tenancy.fetch_many(tenant, [(_EMBEDDED, rows)])
        done(len(ids))
    return documents / seconds


_PUT = """
INSERT INTO documents (tenant_id, id, external_id, title, body, metadata)
SELECT %(tenant)s, id, name, title, body, jsonb_build_object('kind', kind)
  FROM unnest(%(ids)s::uuid[], %(names)s::text[], %(titles)s::text[], %(bodies)s::text[], %(kinds)s::text[])
       AS x (id, name, title, body, kind)
"""
_EMBEDDED = """
INSERT INTO document_embeddings (tenant_id, document_id, wanted_hash, content_hash, generation, model, dimensions, embedding)
SELECT %(tenant)s, id, 'h', 'h', 1, 'bench/m', %(size)s, vector::vector
  FROM unnest(%(ids)s::uuid[], %(vectors)s::text[]) AS x (id, vector)
"""


def _text(draw: random.Random, words: int) -> str:
    return " ".join(_word(draw) for _ in range(words))


def _word(draw: random.Random) -> str:
    """Its rank is drawn so that a word of rank r comes with a frequency of about 1 / r."""
    rank = int(math.exp(draw.random() * math.log(VOCABULARY)))
    return f"w{rank}"


def _question(draw: random.Random) -> str:
    """One to three words of the kind that people search for: neither the commonest nor unheard of."""
    words = [f"w{draw.randint(20, 5000)}" for _ in range(draw.choice((1, 2, 2, 3)))]
    return " ".join(words)


def _vector(draw: random.Random) -> list[float]:
    """Of one of the themes, with noise: vectors of real texts lie in clusters too."""
    return [round(middle + draw.gauss(0, 0.7), 3) for middle in draw.choice(_THEMES)]
