"""Spans of OpenTelemetry, sent over OTLP/HTTP. Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.

While off, nothing of OpenTelemetry is imported and `span` costs a comparison. The SDK's other variables count as its documentation
says (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): sampling, headers, batches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from config.settings import Settings
from config.telemetry.trace import TraceContext, current

if TYPE_CHECKING:
    from config.telemetry.recording import Recorder, Span

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]


class Nothing:
    """Stands for a span while tracing is off."""

    def set(self, attributes: Attributes) -> None:
        """Nothing."""

    def fail(self, code: str) -> None:
        """Nothing."""


NOTHING = Nothing()
_NOTHING = nullcontext(NOTHING)

_collector: tuple[str, str] | None = None
_recorder: Recorder | None = None
_making = threading.Lock()


def turn_on(settings: Settings, process: str) -> None:
    """Record spans from now on, as of the service `nexus-<process>`, if the settings name a collector."""
    global _collector  # noqa: PLW0603 - one per process by nature
    _collector = None if settings.otlp_endpoint is None else (settings.otlp_endpoint, process)


def is_on() -> bool:
    """Whether spans are recorded."""
    return _collector is not None


def span(
    name: str, kind: Kind = "internal", *, attributes: Attributes | None = None, links: Sequence[TraceContext] = ()
) -> AbstractContextManager[Span | Nothing]:
    """A span around a block, under wherever the caller is in its trace; what the block causes comes under it."""
    if _collector is None:
        return _NOTHING
    return begin(name, kind, parent=current(), attributes=attributes, links=links)


def begin(
    name: str,
    kind: Kind = "internal",
    *,
    parent: TraceContext | None,
    attributes: Attributes | None = None,
    links: Sequence[TraceContext] = (),
    said: TraceContext | None = None,
    started_at: float | None = None,
) -> Span:
    """Begin a span, which is a context manager or ended by hand. Only while tracing is on.

    `said` gives it these ids in place of random ones; the trace's counts where there is no parent. `started_at` is in seconds of the
    epoch.
    """
    return _here().begin(name, kind, parent, attributes, links, said, started_at)


def flush(seconds: float = 2.0) -> None:
    """Send what waits, and wait for that no longer than so long: a process that ends must not hang on its collector."""
    if _collector is not None and _recorder is not None and _recorder.pid == os.getpid():
        _recorder.flush(seconds)


def _here() -> Recorder:
    """This process's recorder, made for its first span: a forked child makes its own."""
    global _recorder  # noqa: PLW0603 - as above
    if _recorder is None or _recorder.pid != os.getpid():
        with _making:
            if _recorder is None or _recorder.pid != os.getpid():
                from config.telemetry.recording import Recorder  # noqa: PLC0415 - not loaded where tracing is off

                if _collector is None:
                    raise LookupError("tracing is off")
                _recorder = Recorder(*_collector)
    return _recorder
