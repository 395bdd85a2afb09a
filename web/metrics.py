"""`/metrics` for Prometheus: the requests of the API's processes, and the platform as its database shows it.

Labels are bounded: routes by their rule, methods by those we serve, queues by those that kinds name. With several web workers each
counts in files that whichever is asked adds up (`web/gunicorn.py`). `NEXUS_METRICS=tenants` adds labels that grow with the tenants.
"""

from __future__ import annotations

import os
import time
from functools import cache

from flask import Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from config.telemetry.measures import HTTP_REQUESTS, HTTP_SECONDS
from tenancy.access import Tenancy
from web.auth import public
from web.engine_metrics import EngineCollector

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that puts what a process counts into files, which `MultiProcessCollector` adds up."""


def register(app: Flask, tenancy: Tenancy) -> None:
    """Measure every request, and serve the figures."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(tenancy))
    own: CollectorRegistry | None = registry
    if SHARED in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        own = None
    requests = Counter(HTTP_REQUESTS.name, HTTP_REQUESTS.text, HTTP_REQUESTS.labels, registry=own)
    seconds = Histogram(
        HTTP_SECONDS.name, HTTP_SECONDS.text, HTTP_SECONDS.labels, buckets=HTTP_SECONDS.buckets, registry=own
    )
    app.extensions["nexus.metrics"] = registry

    @cache  # as bounded as the labels; looking one up anew takes as long as counting
    def counted(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        return requests.labels(route, method, str(status)), seconds.labels(route, method)

    def begin() -> None:
        g.begun = time.perf_counter()

    def finish(response: Response) -> Response:
        route = "unmatched" if request.url_rule is None else request.url_rule.rule
        method = request.method if request.method in METHODS else "other"
        requested, took = counted(route, method, response.status_code)
        requested.inc()
        took.observe(time.perf_counter() - g.begun)
        return response

    app.before_request(begin)
    app.after_request(finish)
    app.add_url_rule("/metrics", "metrics", show, methods=["GET"])


@public
def show() -> Response:
    """The figures in Prometheus's text format."""
    registry: CollectorRegistry = current_app.extensions["nexus.metrics"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
