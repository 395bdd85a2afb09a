"""The API's process: one Flask app around one `Tenancy` and one `Watcher`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from config.settings import Settings, SettingsError, current
from config.telemetry import spans
from jobs.watch import Watcher
from tenancy.access import Tenancy
from web import away, docs, errors, headers, health, limits, metrics, openapi, tracing
from web.api import blueprints
from web.body import LimitedRequest
from web.schemas.base import rfc3339

PREFIX = "/api/v1"
BOOT_FAILED = 3
"""The exit code by which gunicorn's master knows that starting this worker again would not help."""


class Json(DefaultJSONProvider):
    """JSON as the API writes it: moments in UTC with `Z`, ids as text, names in the order of the schema."""

    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """As short as it can be."""
        return super().dumps(obj, **{"separators": (",", ":"), **kwargs})

    @staticmethod
    def default(value: Any) -> Any:
        """What the standard library cannot write."""
        if isinstance(value, datetime):
            return rfc3339(value)
        if isinstance(value, UUID):
            return str(value)
        raise TypeError(f"{type(value).__name__} is not JSON")


class Api(Flask):
    """Flask without views and hooks in `async def`: it looks for them at each call, eighteen times a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """The app. Without settings it is the process's own: what is wrong is told in one line each, and the process ends.

    With settings, raises `SettingsError`, for example if the database account would not be bound by row-level security.
    """
    if settings is not None:
        return _create(settings)
    try:
        return _create(current())
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        raise SystemExit(BOOT_FAILED) from None
    except errors.DATABASE_AWAY as error:
        print(f"DATABASE_WEB_URL: the database cannot be reached: {str(error).splitlines()[0]}", file=sys.stderr)
        raise SystemExit(1) from None


def _create(settings: Settings) -> Flask:
    spans.turn_on(settings, "web")
    tenancy = Tenancy(settings, "web")
    try:
        tenancy.check()
    except Exception:
        tenancy.dispose()
        raise
    app = _bare()
    app.request_class = LimitedRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["BODY_SECONDS"] = settings.body_seconds
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions["nexus.tenancy"] = tenancy
    app.extensions["nexus.watcher"] = Watcher(tenancy)

    errors.register(app)
    tracing.register(app)
    if settings.metrics != "off":
        metrics.register(app, tenancy)
    headers.register(app, settings)
    away.register(app)
    limits.register(app, settings)
    _register_routes(app, settings.base_url)
    docs.register(app)
    return app


def description() -> dict[str, Any]:
    """The OpenAPI document, without a platform: for what is generated from it."""
    app = _bare()
    _register_routes(app, "/")
    document: dict[str, Any] = app.extensions[openapi.EXTENSION]
    return document


def _bare() -> Flask:
    app = Api("nexus", static_folder=None)
    app.json = Json(app)
    return app


def _register_routes(app: Flask, base_url: str) -> None:
    api = openapi.create_api(app, _version(), base_url)
    api.register_blueprint(health.blueprint)
    for blueprint in blueprints():
        own = blueprint.url_prefix or ""
        is_at_root = own.startswith(("/.well-known", PREFIX))
        api.register_blueprint(blueprint, url_prefix=own if is_at_root else PREFIX + own)
    openapi.publish(app, api)


def _version() -> str:
    try:
        return version("nexus-platform")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
