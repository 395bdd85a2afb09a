"""Writing the call log: what each attempt at a language model used and cost, many attempts in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import Transient
from domain.ids import new_id
from jobs.context import JobContext
from tenancy.access import Tenancy
from tenancy.gathering import Gathering

_LOG: LiteralString = """
INSERT INTO api_call_logs
    (tenant_id, id, job_id, attempt, operation, provider, request_model, response_model, response_id, finish_reason,
     input_tokens, cached_input_tokens, output_tokens, usage_source, cost_micros, price_version, key_source, duration_ms, error_code)
SELECT %(tenant_id)s, %(id)s, %(job_id)s,
       greatest(%(attempt)s, (SELECT coalesce(max(attempt), 0) + 1 FROM api_call_logs
                               WHERE tenant_id = %(tenant_id)s AND job_id = %(job_id)s)),
       %(operation)s, %(provider)s, %(request_model)s, %(response_model)s, %(response_id)s, %(finish_reason)s,
       %(input_tokens)s, %(cached_input_tokens)s, %(output_tokens)s, %(usage_source)s, %(cost_micros)s, %(price_version)s,
       %(key_source)s, %(duration_ms)s, %(error_code)s
ON CONFLICT DO NOTHING RETURNING id
"""

_OPTIONAL: Mapping[str, Any] = dict.fromkeys(
    ("response_model", "response_id", "finish_reason", "input_tokens", "cached_input_tokens", "output_tokens", "usage_source",
     "cost_micros", "price_version", "error_code")
)  # fmt: skip

_TRIES = 5


def log_call(context: JobContext, **values: Any) -> None:
    """Write the call down under the job's attempt; a job that calls more than once counts on from there.

    Committed when this returns. Raises as `Tenancy.session`.
    """
    row = {
        **_OPTIONAL, "tenant_id": context.tenant_id, "id": new_id(), "job_id": context.job_id, "attempt": context.attempt, **values,
    }  # fmt: skip
    for _ in range(_TRIES):
        if _GATHERING.ask((context.tenancy, context.tenant_id), row):
            return
    raise Transient("The call could not be logged: other attempts of this job log at the same time.")


def _write(key: tuple[Tenancy, UUID], rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    tenancy, tenant_id = key
    return [bool(written) for written in tenancy.fetch_many(tenant_id, [(_LOG, row) for row in rows])]


_GATHERING: Gathering[tuple[Tenancy, UUID], Mapping[str, Any], bool] = Gathering(_write)
