"""Every operation of the OpenAPI document, called with generated requests: no server error, no undocumented answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import schemathesis
from flask import Flask
from schemathesis.checks import CheckFunction
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.web.callers import Caller

CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

READINESS = "/health/ready"

STREAMS = "/api/v1/jobs/{job_id}/events"
"""Answers without end; `test_jobs.py` reads it."""


def _document(app: Flask) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def operations_of(app: Flask) -> list[Any]:
    """All operations of the document that end."""
    return [found.ok() for found in _document(app).get_all_operations() if found.ok().path != STREAMS]


@pytest.fixture
def operations(app: Flask) -> list[Any]:
    """All operations of the document."""
    return operations_of(app)


@pytest.mark.timeout(600)  # some three hundred operations, many requests each
def test_every_operation_answers_as_it_says(
    operations: list[Any], app: Flask, sign_in: Callable[..., Caller], make_tenant: Callable[..., UUID], user: UUID
) -> None:
    caller = sign_in(make_tenant("pooled"), user)
    headers = {**caller.headers, "Prefer": "respond-async, wait=0"}
    assert len(operations) > 40
    failures = {operation.label: failure for operation in operations if (failure := exercise(operation, headers))}
    assert failures == {}


def exercise(operation: Any, headers: dict[str, str]) -> str:
    """Call one operation; returns what was wrong, or nothing."""

    @hypothesis.given(case=operation.as_strategy())
    @hypothesis.settings(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    def run(case: Any) -> None:
        if case.path.endswith(("/logout", "/logout-all")) or "/auth/sessions/" in case.path:
            case.headers = {
                **(case.headers or {}),
                "Authorization": "Bearer nobody",
            }  # or the others would be signed out
        else:
            case.headers = {**(case.headers or {}), **headers}
        if case.query:
            case.query.pop("wait", None)  # nobody works here, so a wait would only last
        response = case.call()
        # Nobody dispatches or works in this process, so readiness truthfully says 503, which it documents.
        case.validate_response(response, checks=CHECKS[1:] if case.path == READINESS else CHECKS)

    try:
        run()
    except FailureGroup as found:
        return str(found)
    return ""
