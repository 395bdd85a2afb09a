"""The OpenAPI 3.1 document: what flask-smorest reads off the routes, completed by what holds for all of them.

Every operation gets its id, its security requirement, the headers it honours and the errors it can answer with. The
document is also the list of query parameters: what it does not name is refused (`check_query`).
"""

from __future__ import annotations

import http
from collections.abc import Iterator, Mapping
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response, current_app, json, request
from flask_smorest import Api
from flask_smorest.spec.plugins import FlaskPlugin
from werkzeug.routing import Rule

from domain.errors import FieldError, InvalidPayload
from web.auth import Access, access_of, public
from web.openapi_parts import JOB_HEADERS, PARAMETERS, description, problem, resolved
from web.preferences import wait_seconds
from web.schemas.problems import ProblemSchema

PATH = "/api/v1/openapi.json"
EXTENSION = "nexus.openapi"

Operation = dict[str, Any]

_JOB = {"$ref": "#/components/schemas/Job"}


class NexusApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest's registry of routes, with our error schema and without its own pages."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Errors are rendered by `web.errors`."""

    def _register_responses(self) -> None:
        for status in http.HTTPStatus:
            if status >= 400:
                self.spec.components.response(status.name, problem(status), lazy=True)


def create_api(app: Flask, version: str, base_url: str) -> NexusApi:
    """The registry of routes; register blueprints on it, then call `publish`."""
    app.config.update(API_TITLE="Nexus", API_VERSION=version, OPENAPI_VERSION="3.1.0")
    api = NexusApi(
        app,
        spec_kwargs={
            "marshmallow_plugin": MarshmallowPlugin(),
            "info": {"description": description()},
            "servers": [{"url": base_url}],
        },
    )
    api.spec.components.security_scheme(
        "bearer",
        {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token from POST /api/v1/auth/login, or an API key.",
        },
    )
    for name, parameter in PARAMETERS.items():
        api.spec.components.parameter(name, parameter["in"], parameter)
    return api


def publish(app: Flask, api: NexusApi) -> None:
    """Complete the document, serve it, and hold requests to its query parameters. Call it after all routes are there."""
    document: dict[str, Any] = _portable(api.spec.to_dict())
    used: set[str] = set()
    known: dict[tuple[str, str], frozenset[str]] = {}
    for rule, method, operation in _operations(app, document):
        _complete(app, rule, method, operation)
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "query":
                parameter["schema"] = _present(parameter["schema"])
        names = _query_names(operation, document["paths"][openapi_path(rule)])
        known[rule.endpoint, method.upper()] = names
        used.update(_referred(operation))
    for name in sorted(used):
        status = http.HTTPStatus[name]
        document["components"].setdefault("responses", {})[name] = resolved(problem(status))
    app.extensions[EXTENSION] = document
    app.extensions["nexus.query_names"] = known
    app.extensions["nexus.openapi_json"] = json.dumps(document, separators=(",", ":")).encode()
    app.before_request(check_query)
    app.add_url_rule(PATH, "openapi", show, methods=["GET"])


@public
def show() -> Response:
    """The document."""
    response = Response(current_app.extensions["nexus.openapi_json"], mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=60"
    response.add_etag()
    response.make_conditional(request)
    return response


def check_query() -> None:
    """Hold the request to what its route can be asked, before anything is done.

    Raises `InvalidPayload` for query parameters that the route does not have, so that a misspelt filter is noticed, and
    for a wait that is out of bounds, in the query or preferred.
    """
    method = "GET" if request.method == "HEAD" else request.method
    known: frozenset[str] | None = current_app.extensions["nexus.query_names"].get((request.endpoint, method))
    if known is None:
        return
    unknown = sorted(set(request.args) - known)
    if unknown:
        faults = tuple(FieldError(f"/query/{name[:100]}", "unknown_field", "Unknown parameter.") for name in unknown)
        raise InvalidPayload("The query has unknown parameters.", errors=faults)
    if "wait" in known:
        wait_seconds()


def _operations(app: Flask, document: dict[str, Any]) -> Iterator[tuple[Rule, str, Operation]]:
    for rule in app.url_map.iter_rules():
        for method, operation in document["paths"].get(openapi_path(rule), {}).items():
            if method.upper() in (rule.methods or ()) and isinstance(operation, dict):
                yield rule, method, operation


def openapi_path(rule: Rule) -> str:
    """The path of a rule as the document writes it: `/jobs/{job_id}`."""
    return str(FlaskPlugin.flaskpath2openapi(rule.rule))


def _complete(app: Flask, rule: Rule, method: str, operation: Operation) -> None:
    view = app.view_functions[rule.endpoint]
    access = access_of(view, method)
    name = rule.endpoint.rpartition(".")[2]
    operation["operationId"] = f"{name}_{method}" if hasattr(view, "view_class") else name
    responses = operation.setdefault("responses", {})
    parameters = operation.setdefault("parameters", [])
    is_job = _is_job(responses.get("202", {}))
    if access is not None:
        operation["security"] = [{"bearer": []}] if access.needs_credentials else []
        if access.needs_credentials:
            _refer(parameters, "ProjectId")
        if access.permission is not None:
            operation["description"] = _with_line(operation, f"Needs the permission `{access.permission}`.")
    if method == "post" and access is not None and access.needs_credentials and {"201", "202"} & set(responses):
        _refer(parameters, "IdempotencyKey")
    if {"412", "428"} & set(responses):
        _refer(parameters, "IfMatch")
    if is_job:
        _refer(parameters, "Wait")
        _refer(parameters, "Prefer")
        responses["202"].setdefault("headers", {}).update(JOB_HEADERS)
        responses.setdefault(
            "200", {"description": "The job finished while it was waited for.", "content": responses["202"]["content"]}
        )
    for status in sorted(_errors_of(rule, method, operation, access)):
        _add_error(responses, status)
    operation["responses"] = dict(sorted(responses.items()))
    if not parameters:
        del operation["parameters"]


def _errors_of(rule: Rule, method: str, operation: Operation, access: Access | None) -> set[int]:
    """The statuses of problems that the operation can answer with, by what it takes."""
    statuses = {int(status) for status in operation["responses"] if status.isdigit() and int(status) >= 400}
    if not rule.rule.startswith("/api/"):
        return statuses
    statuses |= {422, 429, 503}
    if access is None or access.needs_credentials:
        statuses |= {400, 401, 403, 404}
    if access is not None and access.needs_tenant:
        statuses.add(409)  # the tenant may be suspended
        if _is_job(operation["responses"].get("202", {})):
            statuses.add(402)  # its plan may allow no more
    if rule.arguments:
        statuses.add(404)
    if method in {"post", "put", "patch", "delete"}:
        statuses.add(409)
    if "requestBody" in operation:
        statuses |= {400, 408, 413, 415}
    if statuses & {412, 428}:
        statuses |= {412, 428}
    return statuses


def _add_error(responses: dict[str, Any], status: int) -> None:
    """Refer to the shared problem, unless the route says more about it; then give that its content."""
    present = responses.get(str(status))
    if present is None or "$ref" in present:
        responses[str(status)] = {"$ref": f"#/components/responses/{http.HTTPStatus(status).name}"}
    elif "content" not in present:
        present["content"] = resolved(problem(http.HTTPStatus(status)))["content"]


def _is_job(response: Mapping[str, Any]) -> bool:
    return any(content.get("schema") == _JOB for content in response.get("content", {}).values())


def _refer(parameters: list[Any], name: str) -> None:
    """Add a shared parameter, in the place of the route's own of that name."""
    parameter = PARAMETERS[name]
    named = (parameter["name"].lower(), parameter["in"])
    parameters[:] = [each for each in parameters if (each.get("name", "").lower(), each.get("in")) != named]
    parameters.append({"$ref": f"#/components/parameters/{name}"})


def _referred(operation: Operation) -> Iterator[str]:
    for response in operation["responses"].values():
        if "$ref" in response:
            yield response["$ref"].rpartition("/")[2]


def _query_names(operation: Operation, path: Mapping[str, Any]) -> frozenset[str]:
    names = set()
    for parameter in [*operation.get("parameters", ()), *path.get("parameters", ())]:
        given = PARAMETERS[parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
        if given["in"] == "query":
            names.add(given["name"])
    return frozenset(names)


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a query parameter that is sent: a query cannot say null, it leaves the parameter out."""
    sent = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    if isinstance(sent.get("type"), list):
        sent["type"] = next(name for name in sent["type"] if name != "null")
    if "enum" in sent:
        sent["enum"] = [value for value in sent["enum"] if value is not None]
    return sent


def _portable(value: Any) -> Any:
    """The same document with patterns as ECMA-262 writes them: Python's end of text is its `$`."""
    if isinstance(value, dict):
        return {
            key: inner.replace("\\Z", "$").replace("\\A", "^")
            if key == "pattern" and isinstance(inner, str)
            else _portable(inner)
            for key, inner in value.items()
        }
    return [_portable(inner) for inner in value] if isinstance(value, list) else value


def _with_line(operation: Operation, line: str) -> str:
    description: str = operation.get("description", "")
    return f"{description}\n\n{line}" if description else line
