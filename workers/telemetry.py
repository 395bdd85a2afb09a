"""What the dispatcher and the workers tell of themselves: spans if they are asked for, and figures unless they are not wanted."""

from __future__ import annotations

from config.settings import Settings
from config.telemetry import counters, spans
from jobs.readings import Reporter
from tenancy.access import Tenancy

_reporter: Reporter | None = None


def begin(settings: Settings, process: str) -> None:
    """Say under which name this process and its children record."""
    spans.turn_on(settings, process)
    if settings.metrics == "off":
        counters.turn_off()


def report(tenancy: Tenancy, process: str) -> None:
    """Write this process's figures from now on. Called in each process by itself, after any fork."""
    global _reporter  # noqa: PLW0603 - Celery's shutdown signals bring no state along
    if tenancy.settings.metrics != "off":
        _reporter = Reporter(tenancy.platform, process)
        _reporter.start()


def end() -> None:
    """Write and send what is left. Neither a database nor a collector that is away holds up a process that ends."""
    if _reporter is not None:
        _reporter.stop()
    spans.flush()
