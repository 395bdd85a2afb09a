"""A worker that is killed while a model speaks: the completion comes all the same, and each call is accounted for once."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import select

from bench.engine import Engine, until
from domain.identity.principals import system
from jobs.queries import get
from jobs.rows import result_of
from jobs.submit import NewJob, submit
from models.tenant import ApiCallLog, LlmBudget, LlmOpenCall
from tenancy.access import Tenancy
from tests.contracts.llm_double import WORDS, LlmDouble, llm_double
from tests.faults.conftest import state

pytestmark = pytest.mark.faults

PAYLOAD = {"messages": [{"role": "user", "content": "When?"}], "model": "gpt-5-mini", "max_tokens": 50, "stream": True}


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


def start_worker(engine: Engine, double: LlmDouble, name: str) -> object:
    return engine.worker(
        "completions", pool="threads", concurrency=4, name=name, OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL=f"{double.url}/v1",
    )  # fmt: skip


def test_a_worker_killed_in_the_middle_of_a_stream_is_accounted_for_once(
    engine: Engine, tenancy: Tenancy, tenant: UUID, double: LlmDouble
) -> None:
    with tenancy.session(tenant) as session:
        session.add(LlmBudget(tenant_id=tenant, name="all", period="total", limit_micros=1_000_000))
    double.script = ["hold"]
    engine.dispatcher()
    killed = start_worker(engine, double, "killed")
    job_id = submit(tenancy, NewJob("completion.create", PAYLOAD, system("test", tenant))).id
    assert double.held.wait(60)
    engine.kill(killed)  # type: ignore[arg-type]
    double.released.set()
    start_worker(engine, double, "next")

    until(lambda: state(tenancy, job_id) == "succeeded", 60, "the completion")

    result = result_of(get(tenancy, tenant, job_id), tenancy.vault(tenant))
    assert result is not None
    assert result["text"] == "".join(WORDS)
    with tenancy.session(tenant) as session:
        lost, whole = session.scalars(select(ApiCallLog).order_by(ApiCallLog.id))
        budget = session.scalars(select(LlmBudget)).one()
        assert session.scalars(select(LlmOpenCall)).all() == []
    assert (lost.error_code, lost.usage_source) == ("worker_lost", "estimated")
    assert (whole.error_code, whole.output_tokens) == (None, len(WORDS))
    assert (whole.input_tokens, whole.cached_input_tokens, whole.output_tokens) == double.served[-1]
    assert budget.spent_micros == (lost.cost_micros or 0) + (whole.cost_micros or 0)
    assert budget.reserved_micros == 0
