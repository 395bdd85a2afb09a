"""A worker that is killed while a model embeds documents: each gets its vector all the same, and exactly one."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from bench.engine import Engine, until
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import ApiCallLog, Document, DocumentEmbedding, SearchIndexing
from models.tenant.documents import MARK_DUE
from tenancy.access import Tenancy
from tests.contracts.llm_double import LlmDouble, llm_double
from tests.faults.conftest import state

pytestmark = pytest.mark.faults

DOCUMENTS = 450
"""Three claims of a job."""


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


def start_worker(engine: Engine, double: LlmDouble, name: str) -> object:
    return engine.worker(
        "completions", pool="threads", concurrency=4, name=name, OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL=f"{double.url}/v1",
    )  # fmt: skip


def put(tenancy: Tenancy, tenant: UUID) -> None:
    rows = [
        {"tenant_id": tenant, "id": new_id(), "external_id": f"d{number}", "title": "T" * (number % 50 + 1), "body": ""}
        for number in range(DOCUMENTS)
    ]
    with tenancy.session(tenant) as session:
        session.execute(insert(SearchIndexing).values({"tenant_id": tenant, "embeds": True}))
        session.execute(insert(Document), rows)
        session.execute(MARK_DUE, {"tenant": tenant, "ids": [row["id"] for row in rows], "generation": 1})


def test_a_worker_killed_while_it_embeds_loses_and_doubles_nothing(
    engine: Engine, tenancy: Tenancy, tenant: UUID, double: LlmDouble
) -> None:
    put(tenancy, tenant)
    double.script = ["ok", "hold"]
    engine.dispatcher()
    killed = start_worker(engine, double, "killed")
    job_id = submit(tenancy, NewJob("document.embed", {}, system("test", tenant))).id
    assert double.held.wait(120)
    engine.kill(killed)  # type: ignore[arg-type]
    double.released.set()
    start_worker(engine, double, "next")

    until(lambda: state(tenancy, job_id) == "succeeded", 120, "the documents")

    with tenancy.session(tenant) as session:
        rows = session.execute(
            select(Document.title, DocumentEmbedding.embedding, DocumentEmbedding.due_at).join(
                DocumentEmbedding, DocumentEmbedding.document_id == Document.id
            )
        ).all()
        calls = session.scalars(select(ApiCallLog).order_by(ApiCallLog.id)).all()
        waiting = session.scalar(text("SELECT count(*) FROM document_embeddings WHERE claimed_by IS NOT NULL"))
    assert len(rows) == DOCUMENTS
    assert all(due is None and vector[0] == len(title) + 2 for title, vector, due in rows)
    assert waiting == 0
    asked = [len(body["input"]) for _, _, body in double.requests]
    cut_off = [call.error_code for call in calls].count("worker_lost")
    assert cut_off >= 1, "one was killed; on a machine that is busy with other things, another may have lost its lease"
    assert asked[1] <= sum(asked) - DOCUMENTS <= cut_off * max(asked), "only calls that were cut off are made again"
