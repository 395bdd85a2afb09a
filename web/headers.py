"""Headers of every answer: what browsers may do with it, and which other sites may ask."""

from __future__ import annotations

from flask import Flask, Response, request
from flask_cors import CORS

from config.settings import Settings

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


def register(app: Flask, settings: Settings) -> None:
    """Set the headers. Other origins may ask only if `NEXUS_CORS_ORIGINS` lists them, and never with cookies."""
    secure = settings.base_url.startswith("https://")

    def add(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        is_docs = request.path == "/docs" or request.path.startswith("/docs/")
        headers["Content-Security-Policy"] = DOCS_POLICY if is_docs else API_POLICY
        if "Cache-Control" not in headers:
            # Answers belong to one caller. One with an entity tag may be kept by that caller, to be asked about again.
            headers["Cache-Control"] = "private, no-cache" if "ETag" in headers else "no-store"
        if "Authorization" not in headers.get("Vary", ""):
            headers.add("Vary", "Authorization, X-Project-ID")
        if settings.cors_origins and "Origin" not in headers.get("Vary", ""):
            headers.add(
                "Vary", "Origin"
            )  # also where the answer allows nothing: a cache must not give it to one that may ask
        if secure:
            headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
        return response

    app.after_request(add)
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
