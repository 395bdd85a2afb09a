"""Completions: asked for as jobs, accounted for in the call log, and served by the provider that the tenant chose."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

from flask import Response, jsonify
from flask_smorest import Blueprint
from sqlalchemy import Date, cast, func, select

from domain.errors import FieldError, InvalidPayload, NotFound, PreconditionFailed
from jobs.payloads.completions import CompletionCreateSchema
from jobs.submit import submit
from models.tenant import ApiCallLog
from tenancy.audit import audited
from tenancy.database import Row
from tenancy.scopes import tenant_scope
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema
from web.schemas.llm import (
    ApiCallFilterSchema,
    ApiCallSchema,
    LlmConfigSchema,
    LlmConfigUpdateSchema,
    UsageQuerySchema,
    UsageSchema,
)

blueprint = Blueprint("llm", __name__, description="Language models: completions, usage, configuration")

LONGEST_PERIOD = 366
"""Days that one usage report covers."""

_CONFIG: LiteralString = "SELECT llm_provider, llm_key_sealed, version FROM tenants WHERE id = %(id)s"

_CONFIGURE: LiteralString = """
UPDATE tenants SET llm_provider = %(provider)s, llm_key_sealed = %(sealed)s, version = version + 1
 WHERE id = %(id)s AND version = %(version)s
RETURNING llm_provider, llm_key_sealed, version
"""


@blueprint.route("/llm/completions", methods=["POST"])
@can("completion:create")
@blueprint.arguments(CompletionCreateSchema, example={"messages": [{"role": "user", "content": "Say hello."}]})
@blueprint.response(202, JobSchema, description="The job that asks the model.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_completion(completion: dict[str, Any]) -> Response:
    """Answer a conversation with a language model.

    Answers with the job; its result holds the text, who served it, the tokens and the cost. `Prefer: wait=30` waits for
    it. Repeating the request with the same `Idempotency-Key` answers with the same job.
    """
    return accepted(submit(tenancy(), new_job("completion.create", completion)))


@blueprint.route("/llm/calls", methods=["GET"])
@can("completion:read")
@blueprint.arguments(ApiCallFilterSchema, location="query")
@blueprint.response(200, page_schema(ApiCallSchema))
def list_calls(arguments: dict[str, Any]) -> tuple[Envelope[ApiCallLog], dict[str, str]]:
    """List the calls of language models, one entry for each attempt, newest first unless asked otherwise."""
    return list_rows(ApiCallLog, arguments)


@blueprint.route("/llm/usage", methods=["GET"])
@can("completion:read")
@blueprint.arguments(UsageQuerySchema, location="query")
@blueprint.response(200, UsageSchema)
def read_usage(period: dict[str, Any]) -> dict[str, Any]:
    """Total the call log by day (UTC), model and key.

    Both `from` and `to` are included. Left out, it is the last 30 days; a report covers at most 366.
    """
    first, last = _days(period["from_day"], period["to_day"], datetime.now(UTC).date())
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    log = ApiCallLog
    day = cast(func.timezone("UTC", log.created_at), Date).label("day")
    model = func.coalesce(log.response_model, log.request_model).label("model")
    group = (day, log.provider, model, log.key_source)
    totals = (
        select(
            *group,
            func.count().label("calls"),
            func.count(log.error_code).label("failed_calls"),
            func.count().filter(log.error_code.is_(None), log.cost_micros.is_(None)).label("unpriced_calls"),
            *(
                func.coalesce(func.sum(column), 0).label(column.key)
                for column in (log.input_tokens, log.cached_input_tokens, log.output_tokens, log.cost_micros)
            ),
        )
        .where(log.tenant_id == tenant_id(), log.created_at >= start, log.created_at < end + timedelta(days=1))
        .group_by(*group)
        .order_by(day, log.provider, model, log.key_source)
    )
    with tenancy().session(tenant_id()) as session:
        items = [dict(row) for row in session.execute(totals).mappings()]
    return {"from_day": first, "to_day": last, "currency": "USD", "items": items}


@blueprint.route("/llm/config", methods=["GET"])
@can("llm_config:read")
@blueprint.response(200, LlmConfigSchema)
def read_config() -> Response:
    """Read who answers the tenant's completions. Of a key it shows the last four characters."""
    return _rendered(_config())


@blueprint.route("/llm/config", methods=["PUT"])
@can("llm_config:update")
@blueprint.arguments(LlmConfigUpdateSchema)
@blueprint.response(200, LlmConfigSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def update_config(config: dict[str, Any]) -> Response:
    """Choose who answers the tenant's completions.

    `nexus` uses the platform's keys and forgets a key that was kept. `openai` and `anthropic` use the tenant's own key
    and never fall back to the platform's; leave `api_key` out to keep the present one. The key is sealed. Completions
    that begin a few seconds later use the new choice.
    """
    present = _config()
    check_if_match(present["version"])
    scope = tenant_scope(tenant_id())
    statement = audited(
        _CONFIGURE,
        {
            "id": tenant_id(), "version": present["version"], "provider": config["provider"],
            "sealed": _sealed(config["provider"], config["api_key"], present),
        },
        scope, "llm_config.updated", f"tenant:{tenant_id()}", before={"provider": present["llm_provider"]},
        after={"provider": config["provider"], "key_replaced": config["api_key"] is not None},
    )  # fmt: skip
    changed = tenancy().platform.fetch(*statement, scope)
    if not changed:
        raise PreconditionFailed("The tenant has changed since it was read; read it again.")
    return _rendered(changed[0])


def _days(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    end = last or today
    start = first or end - timedelta(days=min(29, (end - date.min).days))
    if start > end:
        raise _bad_period("`from` is later than `to`.")
    if (end - start).days >= LONGEST_PERIOD:
        raise _bad_period(f"The period has more than {LONGEST_PERIOD} days.")
    if end >= date.max:
        raise _bad_period("There is no such time.")
    return start, end


def _bad_period(detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=(FieldError("/from", "invalid_period", detail),))


def _config() -> Row:
    rows = tenancy().platform.fetch(_CONFIG, {"id": tenant_id()}, tenant_scope(tenant_id()))
    if not rows:
        raise NotFound("There is no such tenant.")
    return rows[0]


def _rendered(row: Row) -> Response:
    sealed, last_four = row["llm_key_sealed"], None
    if sealed is not None:
        opened = tenancy().vault(tenant_id()).open(bytes(sealed), "tenants", "llm_key_sealed", tenant_id())
        last_four = opened.decode()[-4:]
    response = jsonify(LlmConfigSchema().dump({"provider": row["llm_provider"], "api_key_last_four": last_four}))
    return with_etag(response, row["version"])


def _sealed(provider: str, api_key: str | None, present: Row) -> bytes | None:
    """The key to keep, sealed. Raises `InvalidPayload` if there is one too many or too few."""
    if provider == "nexus":
        if api_key is not None:
            raise _bad_key("not_allowed", "The platform's own keys are used: leave `api_key` out.")
        return None
    if api_key is not None:
        return tenancy().vault(tenant_id()).seal(api_key.encode(), "tenants", "llm_key_sealed", tenant_id())
    if present["llm_provider"] != provider or present["llm_key_sealed"] is None:
        raise _bad_key("required", f"There is no key for {provider} yet.")
    return bytes(present["llm_key_sealed"])


def _bad_key(code: str, detail: str) -> InvalidPayload:
    return InvalidPayload("The configuration is invalid.", errors=(FieldError("/api_key", code, detail),))
