"""What the tenant's calls of language models come to, in numbers or as a picture."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Response, jsonify, request
from flask_smorest import Blueprint
from sqlalchemy import Date, cast, func, select

from domain.errors import FieldError, InvalidPayload
from models.tenant import ApiCallLog
from web.auth import can
from web.context import tenancy, tenant_id
from web.schemas.llm import UsageQuerySchema, UsageSchema
from web.usage_picture import usage_picture

blueprint = Blueprint("llm_usage", __name__, description="Language models: usage")

LONGEST_PERIOD = 366
"""Days that one usage report covers."""

PICTURE = "image/svg+xml"


@blueprint.route("/llm/usage", methods=["GET"])
@can("completion:read")
@blueprint.arguments(UsageQuerySchema, location="query")
@blueprint.response(200, UsageSchema)
def read_usage(period: dict[str, Any]) -> Response:
    """Total the call log by day (UTC), model and key; with `Accept: image/svg+xml`, as a picture of the costs.

    With `by=principal` it is also totalled by API key and user, and `principal` names one of them.
    Both `from` and `to` are included. Left out, it is the last 30 days; a report covers at most 366.
    """
    first, last = _days(period["from_day"], period["to_day"], datetime.now(UTC).date())
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    log = ApiCallLog
    day = cast(func.timezone("UTC", log.created_at), Date).label("day")
    model = func.coalesce(log.response_model, log.request_model).label("model")
    by_caller = period["by"] == "principal"
    group = (day, log.provider, model, log.key_source, *((log.principal,) if by_caller else ()))
    whose = () if period["principal"] is None else (log.principal == period["principal"],)
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
        .where(log.tenant_id == tenant_id(), log.created_at >= start, log.created_at < end + timedelta(days=1), *whose)
        .group_by(*group)
        .order_by(*group)
    )
    with tenancy().session(tenant_id()) as session:
        items = [{"principal": None, **row} for row in session.execute(totals).mappings()]
    if request.accept_mimetypes.best_match(["application/json", PICTURE]) == PICTURE:
        response = Response(usage_picture(first, last, items), mimetype=PICTURE)
    else:
        report = {"from_day": first, "to_day": last, "currency": "USD", "items": items}
        response = jsonify(UsageSchema().dump(report))
    response.vary.add("Accept")
    return response


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
