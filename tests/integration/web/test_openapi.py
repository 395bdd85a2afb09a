"""The OpenAPI document: valid, complete, and true about who may call what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from web.auth import access_of
from web.docs import as_openapi_3_0
from web.openapi import EXTENSION, openapi_path

UNDOCUMENTED = {"/metrics", "/docs", "/docs/start.js", "/docs/openapi.json", "/docs/{name}", "/api/v1/openapi.json"}
"""What serves machines other than clients, and the document itself."""


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = app.extensions[EXTENSION]
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_translation_for_swagger_ui_is_valid_openapi_3_0(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV30SpecValidator(as_openapi_3_0(document)).iter_errors()] == []


def test_every_route_is_documented(app: Flask, document: dict[str, Any]) -> None:
    missing = [
        f"{method} {openapi_path(rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if openapi_path(rule) not in UNDOCUMENTED
        and method.lower() not in document["paths"].get(openapi_path(rule), {})
    ]

    assert missing == []


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    undecided = [
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if access_of(app.view_functions[rule.endpoint], method) is None
    ]

    assert undecided == []


def test_every_operation_has_an_id_of_its_own_a_summary_and_a_security_requirement(document: dict[str, Any]) -> None:
    ids = [operation.get("operationId") for _, _, operation in operations(document)]

    assert len(ids) == len(set(ids))
    assert [path for path, _, operation in operations(document) if not operation.get("summary")] == []
    assert [path for path, _, operation in operations(document) if "security" not in operation] == []


def test_every_problem_is_problem_json(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path.startswith("/api/"):
                whole = shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
                assert "application/problem+json" in whole["content"], f"{method} {path} {status}"


def test_every_protected_operation_can_answer_401_403_and_404(document: dict[str, Any]) -> None:
    gaps = [
        f"{method} {path}"
        for path, method, operation in operations(document)
        if operation["security"] and not {"401", "403", "404", "429", "503"} <= set(operation["responses"])
    ]

    assert gaps == []
