"""The ledger of calls of language models: each is opened before the provider is called and closed after, both committed.

Opening asks the limits and reserves the most that the call may cost of every budget that applies. Closing gives the reservation
back, takes the cost, and writes the call log. A call whose worker was lost is closed by a later call of the tenant: at once if
it is the same job's, else when its time is up; or by a sweep, where there is no later call. Whoever deletes the open call's row accounts for it, so it is accounted for once.

Calls that are opened or closed at the same time share a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from config.telemetry.counters import count
from config.telemetry.measures import BUDGET_REFUSALS
from domain.completions.budgets import refusal
from domain.ids import new_id
from jobs.budget_standings import STANDING, note
from jobs.context import JobContext
from tenancy.access import Tenancy
from tenancy.gathering import Gathering

GRACE_SECONDS = 60.0
"""After its job's deadline an open call is taken for lost."""

_CALL: LiteralString = (
    """tenant_id, id, job_id, attempt, operation, provider, request_model, key_source, principal, fallback_from"""
)

_LOST: LiteralString = f"""
WITH gone AS (
    DELETE FROM llm_open_calls o
     WHERE o.tenant_id = %(tenant_id)s
       AND (o.expires_at < now() OR EXISTS (
            SELECT FROM unnest(%(jobs)s::uuid[], %(tokens)s::uuid[]) AS j (id, token)
             WHERE j.id = o.job_id AND j.token <> o.token))
    RETURNING o.*
), settled AS (
    UPDATE llm_budgets b
       SET reserved_micros = greatest(0, b.reserved_micros - g.reserved), spent_micros = b.spent_micros + g.lost
      FROM (SELECT unnest(budget_ids) AS id, sum(reserved_micros)::bigint AS reserved,
                   coalesce(sum(lost_micros), 0)::bigint AS lost FROM gone GROUP BY 1) g
     WHERE b.tenant_id = %(tenant_id)s AND b.id = g.id
)
INSERT INTO api_call_logs ({_CALL}, input_tokens, cached_input_tokens, output_tokens, usage_source, cost_micros, price_version,
                           duration_ms, error_code, created_at)
SELECT {_CALL}, input_tokens, 0, 0, 'estimated', lost_micros, price_version,
       least(extract(epoch FROM now() - created_at) * 1000, 2147483647)::int, 'worker_lost', created_at
  FROM gone
RETURNING id
"""

_ROLL: LiteralString = """
UPDATE llm_budgets SET spent_micros = 0, period_start = date_trunc(period, now(), 'UTC')
 WHERE tenant_id = %(tenant_id)s AND period <> 'total' AND period_start < date_trunc(period, now(), 'UTC')
"""

_LOCK: LiteralString = "SELECT FROM llm_budgets WHERE tenant_id = %(tenant_id)s ORDER BY id FOR UPDATE"
"""In one order for all who open and close. What follows in the transaction sees the rows as they are now."""

_FORGET: LiteralString = (
    "DELETE FROM llm_minutes WHERE tenant_id = %(tenant_id)s AND minute < now() - interval '1 hour'"
)

_OPEN: LiteralString = f"""
WITH rate AS (
    INSERT INTO llm_minutes AS m (tenant_id, minute, requests, tokens)
    SELECT %(tenant_id)s, date_trunc('minute', now()), 1, %(most_tokens)s WHERE %(limited)s
    ON CONFLICT (tenant_id, minute) DO UPDATE SET requests = m.requests + 1, tokens = m.tokens + excluded.tokens
     WHERE m.requests < coalesce(%(requests_per_minute)s, 2147483647)
       AND m.tokens < coalesce(%(tokens_per_minute)s, 9223372036854775807)
    RETURNING 1
), applying AS (
    SELECT b.id, b.spent_micros >= b.limit_micros AS is_spent, b.spent_micros + b.reserved_micros >= b.limit_micros AS is_held
      FROM llm_budgets b
     WHERE b.tenant_id = %(tenant_id)s AND (b.key_source IS NULL OR b.key_source = %(key_source)s)
       AND (b.principal IS NULL OR b.principal = %(principal)s)
), judged AS (
    SELECT CASE WHEN %(limited)s AND NOT EXISTS (SELECT FROM rate) THEN 'rate_limited'
                WHEN bool_or(is_spent) THEN 'budget_exhausted'
                WHEN count(*) > 0 AND %(most_micros)s::bigint IS NULL THEN 'price_unknown'
                WHEN bool_or(is_held) THEN 'budget_reserved' ELSE 'open' END AS verdict
      FROM applying
), taken AS (
    UPDATE llm_budgets b SET reserved_micros = b.reserved_micros + %(most_micros)s::bigint
      FROM applying a, judged
     WHERE b.tenant_id = %(tenant_id)s AND b.id = a.id AND judged.verdict = 'open'
       AND b.spent_micros + b.reserved_micros < b.limit_micros
    RETURNING b.id
), opened AS (
    INSERT INTO llm_open_calls ({_CALL}, token, input_tokens, lost_micros, price_version, reserved_micros, budget_ids, expires_at)
    SELECT %(tenant_id)s, %(id)s, %(job_id)s, %(attempt)s, %(operation)s, %(provider)s, %(request_model)s, %(key_source)s,
           %(principal)s, %(fallback_from)s, %(token)s, %(input_tokens)s, %(lost_micros)s, %(price_version)s,
           coalesce(%(most_micros)s::bigint, 0), coalesce((SELECT array_agg(id) FROM taken), '{{}}'::uuid[]),
           now() + make_interval(secs => %(seconds)s)
      FROM judged WHERE verdict = 'open'
)
SELECT verdict, 60 - extract(second FROM now())::float8 AS seconds_left FROM judged
"""

_CLOSE: LiteralString = f"""
WITH gone AS (
    DELETE FROM llm_open_calls WHERE tenant_id = %(tenant_id)s AND id = %(id)s RETURNING *
), settled AS (
    UPDATE llm_budgets b
       SET reserved_micros = greatest(0, b.reserved_micros - g.reserved_micros),
           spent_micros = b.spent_micros + coalesce(%(cost_micros)s::bigint, 0)
      FROM gone g WHERE b.tenant_id = %(tenant_id)s AND b.id = ANY(g.budget_ids)
), metered AS (
    INSERT INTO metered_usage (tenant_id, id, code, quantity, source_kind, source_id, properties)
    SELECT tenant_id, id, CASE operation WHEN 'chat' THEN 'completion' ELSE 'embedding' END, 1, 'llm_call', id,
           jsonb_strip_nulls(jsonb_build_object(
               'job_id', job_id, 'key_source', key_source, 'model', %(response_model)s::text,
               'input_tokens', %(input_tokens)s::int, 'output_tokens', %(output_tokens)s::int,
               'cost_micros', %(cost_micros)s::bigint))
      FROM gone WHERE %(error_code)s::text IS NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO api_call_logs
    ({_CALL}, response_model, response_id, finish_reason, input_tokens, cached_input_tokens, output_tokens, usage_source,
     cost_micros, price_version, duration_ms, ttft_ms, error_code, created_at)
SELECT tenant_id, id, job_id,
       greatest(attempt, (SELECT coalesce(max(l.attempt), 0) + 1 FROM api_call_logs l
                           WHERE l.tenant_id = %(tenant_id)s AND l.job_id = gone.job_id)),
       operation, provider, request_model, key_source, principal, fallback_from,
       %(response_model)s, %(response_id)s, %(finish_reason)s, %(input_tokens)s, %(cached_input_tokens)s, %(output_tokens)s,
       %(usage_source)s, %(cost_micros)s, %(price_version)s, %(duration_ms)s, %(ttft_ms)s, %(error_code)s, created_at
  FROM gone
"""

_CLOSED: Mapping[str, Any] = dict.fromkeys(
    ("response_model", "response_id", "finish_reason", "input_tokens", "cached_input_tokens", "output_tokens", "usage_source",
     "cost_micros", "price_version", "ttft_ms", "error_code")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a call before it is made. `most_micros` is the most that it can cost and `lost_micros` what its input does;
    None where the model has no known price. Limits are by the minute.
    """

    operation: str
    provider: str
    model: str
    key_source: str
    fallback_from: str | None
    input_tokens: int
    most_tokens: int
    lost_micros: int | None
    most_micros: int | None
    price_version: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


def open_call(context: JobContext, expected: Expected) -> UUID:
    """Open a call; returns its id. Raises `NotNow` (`llm_rate_limited`, `budget_reserved`), `Permanent` (`budget_exhausted`,
    `price_unknown`), and as `Tenancy.session`.
    """
    call_id = new_id()
    limits = (expected.requests_per_minute, expected.tokens_per_minute)
    row = {
        "tenant_id": context.tenant_id, "id": call_id, "job_id": context.job_id, "token": context.token,
        "attempt": context.attempt, "principal": context.principal.subject, "operation": expected.operation,
        "provider": expected.provider, "request_model": expected.model, "key_source": expected.key_source,
        "fallback_from": expected.fallback_from, "input_tokens": expected.input_tokens, "most_tokens": expected.most_tokens,
        "lost_micros": expected.lost_micros, "most_micros": expected.most_micros, "price_version": expected.price_version,
        "requests_per_minute": limits[0], "tokens_per_minute": limits[1], "limited": limits != (None, None),
        "seconds": max(0.0, context.deadline - time.monotonic()) + GRACE_SECONDS,
    }  # fmt: skip
    answer = _OPENING.ask((context.tenancy, context.tenant_id), row)
    error = refusal(answer["verdict"], answer["seconds_left"])
    if error is not None:
        count(BUDGET_REFUSALS, answer["verdict"])
        raise error
    return call_id


def close_call(context: JobContext, call_id: UUID, **values: Any) -> None:
    """Close it with what is to be logged. One that was taken for lost meanwhile is accounted for already."""
    row = {**_CLOSED, "tenant_id": context.tenant_id, "id": call_id, **values}
    _CLOSING.ask((context.tenancy, context.tenant_id), row)


def close_lost(tenancy: Tenancy, tenant_id: UUID) -> int:
    """Put down the tenant's calls whose time is up, and give back what they reserved; returns how many there were."""
    of_all = {"tenant_id": tenant_id, "jobs": [], "tokens": []}
    return len(tenancy.fetch_many(tenant_id, [(_LOCK, of_all), (_LOST, of_all)])[1])


_Key = tuple[Tenancy, UUID]
_Row = Mapping[str, Any]


def _open(key: _Key, rows: Sequence[_Row]) -> list[_Row]:
    tenancy, tenant_id = key
    of_all = {
        "tenant_id": tenant_id, "jobs": [row["job_id"] for row in rows], "tokens": [row["token"] for row in rows],
    }  # fmt: skip
    before = [(_LOCK, of_all), (_LOST, of_all), (_ROLL, of_all)]
    if any(row["limited"] for row in rows):
        before.append((_FORGET, of_all))
    asked = [*before, *((_OPEN, row) for row in rows), (STANDING, of_all)]
    *answers, (standing,) = tenancy.fetch_many(tenant_id, asked)
    note(tenant_id, standing)
    return [answer[0] for answer in answers[len(before) :]]


def _close(key: _Key, rows: Sequence[_Row]) -> list[None]:
    tenancy, tenant_id = key
    of_all = {"tenant_id": tenant_id}
    *_, (standing,) = tenancy.fetch_many(
        tenant_id, [(_LOCK, of_all), *((_CLOSE, row) for row in rows), (STANDING, of_all)]
    )
    note(tenant_id, standing)
    return [None] * len(rows)


_OPENING: Gathering[_Key, _Row, _Row] = Gathering(_open)
_CLOSING: Gathering[_Key, _Row, None] = Gathering(_close)
