"""What the OpenAPI document holds once and operations refer to: problems, headers, parameters, the list of codes."""

from __future__ import annotations

import http
from typing import Any

from web.errors import CODES, PROBLEM
from web.schemas.problems import ProblemSchema


def problem(status: http.HTTPStatus) -> dict[str, Any]:
    """The shared answer of a status, with an example for each code that has it; for apispec to resolve."""
    examples = {
        code: {
            "value": {
                "type": f"/errors/{code}", "title": error.title, "status": error.status, "detail": error.title,
                "instance": "/api/v1/jobs", "code": code, "errors": [], "trace_id": "0af7651916cd43dd8448eb211c80319c",
            }
        }
        for code, error in CODES.items()
        if error.status == status
    }  # fmt: skip
    content = {"schema": ProblemSchema, **({"examples": examples} if examples else {})}
    response: dict[str, Any] = {"description": status.phrase, "content": {PROBLEM: content}}
    if status in {http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE}:
        response["headers"] = {"Retry-After": _RETRY_AFTER}
    return response


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """The same answer as it stands in the finished document."""
    response["content"][PROBLEM]["schema"] = {"$ref": "#/components/schemas/Problem"}
    return response


def description() -> str:
    """The introduction, with the list of codes."""
    rows = "\n".join(f"| `{code}` | {error.status} | {error.title} |" for code, error in CODES.items())
    return (
        "Slow work is a durable job: submit it, then poll, wait, follow its events, or come back tomorrow.\n\n"
        "Errors are problem details (RFC 9457). Decide by `code`:\n\n| code | status | meaning |\n|---|---|---|\n"
        + rows
    )


_RETRY_AFTER = {"description": "Seconds to wait at least.", "schema": {"type": "integer", "minimum": 1}}
JOB_HEADERS = {
    "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
    "Retry-After": _RETRY_AFTER,
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "ProjectId": {
        "name": "X-Project-ID", "in": "header", "schema": {"type": "string", "format": "uuid"},
        "description": "Selects the tenant among the caller's memberships. An API key carries its tenant.",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
        "description": "A repeated request with the same key gets the first one's answer.",
    },
    "IfMatch": {
        "name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"},
        "description": "The ETag of what is to be changed, as it was read.",
    },
    "Wait": {
        "name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 30},
        "description": "Wait up to this many seconds for the job to finish.",
    },
    "Prefer": {
        "name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=10",
        "description": "`wait=N` waits up to N seconds, at most 30, for the job to finish (RFC 7240).",
    },
}  # fmt: skip
