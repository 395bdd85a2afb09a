"""`/docs`: Swagger UI from the package `swagger-ui-bundle`, without a network and without inline scripts.

That Swagger UI (4.15) reads OpenAPI up to 3.0, so it gets a translation of our 3.1 document.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, json, send_from_directory
from swagger_ui_bundle import swagger_ui_path

from domain.errors import RouteNotFound
from web.auth import public
from web.openapi import EXTENSION

ASSETS = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Nexus API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_START = """window.ui = SwaggerUIBundle({
  url: "/docs/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


def register(app: Flask) -> None:
    """Serve the page and what it needs."""
    app.add_url_rule("/docs", "docs", page)
    app.add_url_rule("/docs/start.js", "docs_start", start)
    app.add_url_rule("/docs/openapi.json", "docs_openapi", translated)
    app.add_url_rule("/docs/<name>", "docs_asset", asset)


@public
def page() -> Response:
    """The page."""
    return Response(_PAGE, mimetype="text/html")


@public
def start() -> Response:
    """The script that starts Swagger UI; a file of its own, because the page may hold no script."""
    return Response(_START, mimetype="text/javascript")


@public
def translated() -> Response:
    """Our document as OpenAPI 3.0."""
    return Response(json.dumps(as_openapi_3_0(current_app.extensions[EXTENSION])), mimetype="application/json")


@public
def asset(name: str) -> Response:
    """A file of Swagger UI. Raises `RouteNotFound` for all but the few that the page uses."""
    if name not in ASSETS:
        raise RouteNotFound(f"There is no file {name[:100]!r}.")
    return send_from_directory(swagger_ui_path, name, max_age=86_400)


def as_openapi_3_0(document: dict[str, Any]) -> dict[str, Any]:
    """The same interface in the words of OpenAPI 3.0: `nullable` instead of the type `null`."""
    older: dict[str, Any] = _older(document)
    older["openapi"] = "3.0.3"
    return older


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    same = {key: _older(inner) for key, inner in value.items()}
    types = same.get("type")
    if isinstance(types, list):
        named = [name for name in types if name != "null"]
        same.pop("type")
        if len(named) == 1:
            same["type"] = named[0]
        same["nullable"] = "null" in types
    for several in ("anyOf", "oneOf"):
        choices = same.get(several)
        if isinstance(choices, list) and {"type": "null"} in choices:
            rest = [choice for choice in choices if choice != {"type": "null"}]
            same.pop(several)
            same["allOf" if len(rest) == 1 else several] = rest
            same["nullable"] = True
    return same
