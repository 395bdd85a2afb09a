"""Headers of every answer: what browsers may do with it, and which other sites may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from flask_cors import CORS

from config.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

EXPOSED = (
    "ETag", "Link", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID", "Idempotency-Replayed",
    "Preference-Applied",
)  # fmt: skip
ALLOWED = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer",
    "X-Project-ID", "X-Tenant-ID", "X-Request-ID", "traceparent",
)  # fmt: skip

_FIXED = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class FixedHeaders:
    """Adds what every answer carries, at the edge of the application: on no answer can it be forgotten, whoever made it."""

    def __init__(self, app: WSGIApplication, *, secure: bool):
        transport = [("Strict-Transport-Security", "max-age=63072000; includeSubDomains")] if secure else []
        self._app = app
        self._api = [*_FIXED, *transport, ("Content-Security-Policy", API_POLICY)]
        self._docs = [*_FIXED, *transport, ("Content-Security-Policy", DOCS_POLICY)]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request."""
        path = environ.get("PATH_INFO", "")
        fixed = self._docs if path == "/docs" or path.startswith("/docs/") else self._api

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            return start_response(status, headers + fixed, exc_info)

        return self._app(environ, start)


def register(app: Flask, settings: Settings) -> None:
    """Set the headers. Other origins may ask only if `NEXUS_CORS_ORIGINS` lists them, and never with cookies."""
    secure = settings.base_url.startswith("https://")

    def add(response: Response) -> Response:
        headers = response.headers
        if "Cache-Control" not in headers:
            # Answers belong to one caller. One with an entity tag may be kept by that caller, to be asked about again.
            headers["Cache-Control"] = "private, no-cache" if "ETag" in headers else "no-store"
        if "Authorization" not in headers.get("Vary", ""):
            headers.add("Vary", "Authorization, X-Project-ID")
        if settings.cors_origins and "Origin" not in headers.get("Vary", ""):
            headers.add(
                "Vary", "Origin"
            )  # also where the answer allows nothing: a cache must not give it to one that may ask
        return response

    app.after_request(add)
    app.wsgi_app = FixedHeaders(app.wsgi_app, secure=secure)  # type: ignore[method-assign]  # as Flask's documents have it
    if settings.cors_origins:
        CORS(
            app,
            origins=[_exactly(origin) for origin in settings.cors_origins],
            methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=list(ALLOWED),
            expose_headers=list(EXPOSED),
            supports_credentials=False,
            send_wildcard=False,
            max_age=600,
        )


def _exactly(origin: str) -> str:
    return origin.strip().rstrip("/")
