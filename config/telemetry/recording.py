"""Spans through OpenTelemetry's SDK. Imported when the first span begins, and never where tracing is off (`config.telemetry.spans`).

A span tells an error by its code, never by its words: those may hold what a tenant wrote.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from config.telemetry.trace import NOWHERE, TraceContext, current, enter

Attributes = Mapping[str, str | int | float | bool]

_said: ContextVar[TraceContext | None] = ContextVar("nexus_said_ids", default=None)
"""Ids that the next span has instead of random ones."""


class Span:
    """A span that is being recorded, or would be if its trace were. As a context manager, what the block causes comes under it."""

    def __init__(self, span: OtelSpan):
        self._span = span
        self._before = current()
        found = span.get_span_context()
        self.context = TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags.sampled))

    def set(self, attributes: Attributes) -> None:
        """Add what became known."""
        self._span.set_attributes(dict(attributes))

    def fail(self, code: str) -> None:
        """Mark it failed, by a stable code."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """It is over."""
        self._span.end()

    def __enter__(self) -> Self:
        enter(self.context)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self.fail(str(getattr(error, "job_code", type(error).__name__)))
        enter(self._before)
        self.end()


class Recorder:
    """Records this process's spans as of the service `nexus-<process>`, and sends them a batch at a time."""

    def __init__(self, endpoint: str, process: str):
        self.pid = os.getpid()
        name = f"{os.environ.get('OTEL_SERVICE_NAME') or 'nexus'}-{process}"
        own: dict[str, str | int] = {
            "service.name": name,
            "service.instance.id": f"{self.pid}-{time.time_ns():x}",
            "process.pid": self.pid,
        }
        resource = Resource.create({"service.namespace": "nexus"}).merge(Resource(own))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=_Ids())
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
        )
        self._tracer = self._provider.get_tracer("nexus")

    def begin(
        self,
        name: str,
        kind: str,
        parent: TraceContext | None,
        attributes: Attributes | None,
        links: Sequence[TraceContext],
        said: TraceContext | None,
        started_at: float | None,
    ) -> Span:
        """Begin a span; as `config.telemetry.spans.begin`."""
        token = _said.set(said)
        is_root = parent is None or parent.span_id == NOWHERE
        try:
            return Span(
                self._tracer.start_span(
                    name,
                    context=None
                    if parent is None or is_root
                    else set_span_in_context(NonRecordingSpan(_context(parent))),
                    kind=SpanKind[kind.upper()],
                    attributes=attributes,
                    links=[Link(_context(each)) for each in links],
                    start_time=None if started_at is None else round(started_at * 1e9),
                )
            )
        finally:
            _said.reset(token)

    def flush(self, seconds: float) -> None:
        """Send what waits, and wait for that no longer than so long."""
        sending = threading.Thread(target=self._provider.force_flush, daemon=True)
        sending.start()
        sending.join(seconds)


class _Ids(RandomIdGenerator):
    """Random, unless the caller says otherwise."""

    def generate_trace_id(self) -> int:
        said = _said.get()
        return super().generate_trace_id() if said is None else int(said.trace_id, 16)

    def generate_span_id(self) -> int:
        said = _said.get()
        return super().generate_span_id() if said is None else int(said.span_id, 16)

    def is_trace_id_random(self) -> bool:
        return False


def _context(of: TraceContext) -> SpanContext:
    return SpanContext(
        int(of.trace_id, 16), int(of.span_id, 16), is_remote=True, trace_flags=TraceFlags(int(of.sampled))
    )
