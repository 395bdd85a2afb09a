"""Completions as they come: words over Redis, the end from the job, and nothing lost when Redis, the client or a worker leaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import select

from config.settings import Settings
from domain.errors import Transient
from domain.identity.principals import system
from domain.ids import new_id
from jobs.handlers import HANDLERS
from jobs.outcomes import record, succeeded
from jobs.text_hub import TextHub
from jobs.texts import Listening, Speaker
from models.tenant import ApiCallLog
from tenancy.access import Tenancy
from tests.conftest import claim_context
from tests.contracts.llm_double import WORDS, LlmDouble, llm_double
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of

COMPLETIONS = "/api/v1/llm/completions"
QUESTION = {"messages": [{"role": "user", "content": "When?"}], "stream": True}
TEXT = "".join(WORDS)


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


@pytest.fixture
def engine(settings: Settings, double: LlmDouble) -> Iterator[Tenancy]:
    """The engine's door on a platform whose OpenAI is the double."""
    made = Tenancy(
        settings.model_copy(
            update={"openai_api_key": SecretStr(f"sk-{new_id()}"), "openai_base_url": f"{double.url}/v1"}
        ),
        "engine",
    )
    yield made
    made.dispose()


def work(engine: Tenancy, tenant_id: UUID, job_id: UUID) -> None:
    """One attempt at the job, as a worker makes it."""
    context, payload = claim_context(engine, job_id, system("test", tenant_id))
    result = HANDLERS[context.kind](context, payload)
    record(engine.platform, [succeeded(job_id, context.token, context.kind, result, engine.vault(tenant_id))])


def submitted(engine: Tenancy, tenant_id: UUID) -> UUID:
    """The tenant's completion that waits, as soon as there is one."""
    while True:
        rows = engine.platform.fetch(
            "SELECT id FROM jobs WHERE tenant_id = %(id)s AND kind = 'completion.create' AND state = 'queued'",
            {"id": tenant_id},
        )
        if rows:
            found: UUID = rows[0]["id"]
            return found
        threading.Event().wait(0.01)


def events_of(text: str) -> list[tuple[str, Any, str | None]]:
    """Name, data and id of each event."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block.strip()]
    return [(one["event"], json.loads(one["data"]), one.get("id")) for one in blocks if "event" in one]


def streaming(caller: Caller) -> tuple[Any, Iterator[str]]:
    """The answer to a streamed completion, and its text as it comes."""
    answer = caller.post(COMPLETIONS, json=QUESTION, buffered=False)
    return answer, (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in answer.response)


def until_said(word: str, chunks: Iterator[str]) -> str:
    """What comes until the word does."""
    text = ""
    while word not in text:
        text += next(chunks)
    return text


def spoken(events: list[tuple[str, Any, str | None]]) -> str:
    """What a client has that follows the events."""
    text = ""
    for name, data, _ in events:
        text = "" if name == "restart" else text + (data["text"] if name == "text" else "")
    return text


def test_the_words_come_while_the_model_speaks_and_the_result_at_the_end(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    double.script = ["hold"]
    with ThreadPoolExecutor(1) as pool:
        answer, chunks = streaming(caller)
        assert answer.mimetype == "text/event-stream"
        job = events_of(next(chunks))[0][1]
        assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
        working = pool.submit(work, engine, caller.tenant_id, UUID(job["id"]))
        text = until_said("opens", chunks)
        assert not working.done()
        double.released.set()
        text += "".join(chunks)
        working.result(30)

    events = events_of(text)
    assert spoken(events) == TEXT
    assert events[-1][0] == "completion"
    assert events[-1][1]["text"] == TEXT
    assert events[-1][1]["usage"]["output_tokens"] == double.served[0][2]


def test_a_client_that_leaves_loses_nothing_and_reads_on_where_it_was(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    answer = caller.post(COMPLETIONS, json=QUESTION, buffered=False)
    answer.close()
    job_id = submitted(engine, caller.tenant_id)
    work(engine, caller.tenant_id, job_id)

    with engine.session(caller.tenant_id) as session:
        (call,) = session.scalars(select(ApiCallLog))
    assert (call.input_tokens, call.cached_input_tokens, call.output_tokens) == double.served[0]
    again = events_of(caller.get(f"{COMPLETIONS}/{job_id}/events").text)
    assert [name for name, _, _ in again] == ["job", "text", "completion"]
    assert spoken(again) == TEXT


def test_who_comes_in_the_middle_hears_the_beginning_too(caller: Caller, engine: Tenancy, double: LlmDouble) -> None:
    double.script = ["hold"]
    with ThreadPoolExecutor(2) as pool:
        caller.post(COMPLETIONS, json=QUESTION, buffered=False).close()
        job_id = submitted(engine, caller.tenant_id)
        working = pool.submit(work, engine, caller.tenant_id, job_id)
        assert double.held.wait(30)
        with Listening(engine.settings, job_id, engine.vault(caller.tenant_id)) as listening:
            while "".join(piece.text or "" for piece in listening.so_far()) != "".join(WORDS[:3]):
                threading.Event().wait(0.01)
        late = pool.submit(lambda: caller.get(f"{COMPLETIONS}/{job_id}/events").text)
        threading.Event().wait(0.3)
        double.released.set()
        events = events_of(late.result(30))
        working.result(30)

    assert spoken(events) == TEXT
    assert "restart" not in [name for name, _, _ in events]
    last_id = next(event_id for name, _, event_id in events if name == "text" and event_id)
    rest = events_of(caller.get(f"{COMPLETIONS}/{job_id}/events", headers={"Last-Event-ID": last_id}).text)
    assert rest[-1][1]["text"] == TEXT


def test_without_redis_the_whole_text_comes_at_the_end(
    app: Flask, caller: Caller, engine: Tenancy, double: LlmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.texts.text_hub", lambda _url: TextHub("redis://127.0.0.1:1/0"))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: caller.post(COMPLETIONS, json=QUESTION).text)
        work(engine, caller.tenant_id, submitted(engine, caller.tenant_id))
        events = events_of(reading.result(60))

    assert [name for name, _, _ in events] == ["job", "text", "completion"]
    assert spoken(events) == TEXT


def test_an_attempt_that_breaks_off_is_taken_back_before_the_next_one_speaks(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    double.script = ["cut", "hold"]
    _, chunks = streaming(caller)
    job_id = UUID(events_of(next(chunks))[0][1]["id"])
    context, payload = claim_context(engine, job_id, system("test", caller.tenant_id))
    with pytest.raises(Transient, match="broke its answer off"):
        HANDLERS[context.kind](context, payload)
    text = until_said("opens", chunks)
    again = replace(context, attempt=2)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(HANDLERS[context.kind], again, payload)
        text += until_said("restart", chunks) + until_said("opens", chunks)
        double.released.set()
        result = working.result(30)
    record(engine.platform, [succeeded(job_id, again.token, again.kind, result, engine.vault(caller.tenant_id))])
    events = events_of(text + "".join(chunks))

    assert spoken(events) == TEXT
    names = [name for name, _, _ in events]
    assert names.count("restart") == 1
    assert "".join(data["text"] for name, data, _ in events[: names.index("restart")] if name == "text") == "".join(
        WORDS[:3]
    )


def test_words_that_were_said_before_anybody_listened_come_while_the_model_pauses(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    double.script = ["hold"]
    _, chunks = streaming(caller)
    job_id = UUID(events_of(next(chunks))[0][1]["id"])  # the stream stands here, before it has subscribed
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, engine, caller.tenant_id, job_id)
        said = Listening(engine.settings, job_id, engine.vault(caller.tenant_id))
        while "opens" not in "".join(piece.text or "" for piece in said.so_far()):
            threading.Event().wait(0.01)
        text = until_said("opens", chunks)
        assert not working.done()
        double.released.set()
        text += "".join(chunks)
        working.result(30)

    assert spoken(events_of(text)) == TEXT


def test_a_completion_that_fails_says_so_at_the_end(caller: Caller, engine_tenancy: Tenancy) -> None:
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: caller.post(COMPLETIONS, json=QUESTION).text)
        job_id = submitted(engine_tenancy, caller.tenant_id)
        caller.post(f"/api/v1/jobs/{job_id}/cancel")
        events = events_of(reading.result(60))

    assert (events[-1][0], events[-1][1]["state"]) == ("error", "cancelled")


def test_only_completions_are_read_this_way_and_only_ones_own(caller: Caller, stranger: Caller) -> None:
    ping = caller.post("/api/v1/jobs", json={"kind": "system.ping"}).json["id"]
    mine = caller.post(COMPLETIONS, json={**QUESTION, "stream": False}).json["id"]

    assert code_of(caller.get(f"{COMPLETIONS}/{ping}/events")) == (404, "not_found")
    assert code_of(stranger.get(f"{COMPLETIONS}/{mine}/events")) == (404, "not_found")


def test_what_is_in_redis_is_sealed_and_what_others_write_there_is_not_read(
    settings: Settings, engine: Tenancy, make_tenant: Callable[..., UUID], pooled_tenant: UUID
) -> None:
    import redis

    assert settings.redis_url is not None
    url, job_id = settings.redis_url.get_secret_value(), new_id()
    vault, other = engine.vault(pooled_tenant), engine.vault(make_tenant("pooled", "Other"))
    speaker = Speaker(url)
    speaker.say(job_id, 1, vault, "secret words")
    client = redis.Redis.from_url(url)
    while not client.exists(f"nexus:text:{job_id}"):
        threading.Event().wait(0.01)
    client.rpush(f"nexus:text:{job_id}", b"forged")

    assert all(b"secret" not in kept for kept in client.lrange(f"nexus:text:{job_id}", 0, -1))
    assert client.ttl(f"nexus:text:{job_id}") > 0
    with Listening(settings, job_id, vault) as listening:
        assert [piece.text for piece in listening.so_far()] == ["secret words"]
    with Listening(settings, job_id, other) as listening:
        assert listening.so_far() == []
    client.close()


def test_all_readers_of_a_process_hear_by_one_connection_and_are_told_when_it_breaks(settings: Settings) -> None:
    import redis

    assert settings.redis_url is not None
    hub, client = (
        TextHub(settings.redis_url.get_secret_value()),
        redis.Redis.from_url(settings.redis_url.get_secret_value()),
    )
    names = [f"nexus:text:{new_id()}" for _ in range(20)]
    ears = [(name, hub.join(name)) for name in [*names, names[0]]]
    for number, name in enumerate(names):
        assert client.publish(name, str(number)) == 1  # one connection, also for the name that two hear
    heard = [ear.queue.get(timeout=10) for _, ear in ears]
    assert heard == [*(str(number).encode() for number in range(20)), b"0"]
    for name, ear in ears[:-1]:
        hub.leave(name, ear)
    assert (len(hub), client.publish(names[0], "to the other")) == (1, 1)
    assert ears[-1][1].queue.get(timeout=10) == b"to the other"
    hub._connection._sock.shutdown(socket.SHUT_RDWR)
    assert ears[-1][1].queue.get(timeout=30) is None
    again = hub.join(names[1])
    assert client.publish(names[1], "after") == 1
    assert again.queue.get(timeout=10) == b"after"
    hub.leave(names[1], again)
    client.close()
