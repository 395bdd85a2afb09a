"""The screen of `nexus top`: what it shows of two looks, and that it fits."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from cli.screen import Before, draw

QUEUE = {
    "due": 5,
    "waiting": 0,
    "in_flight": 2,
    "oldest_due_seconds": 1.0,
    "rate_per_minute": 600.0,
    "slots": 4,
    "deaf": False,
    "pause": None,
}
KIND = {"rate_per_minute": 600.0, "runs": 100, "failures": 50, "mean_seconds": 0.01, "pause": None}
JOB = {
    "id": "0199",
    "tenant_id": "t",
    "kind": "system.ping",
    "attempt": 1,
    "started_at": "2026-01-01T00:00:00+00:00",
    "progress": None,
}


def seen(attempts: int = 100) -> dict[str, Any]:
    """A look at a platform on which that much was done."""
    return {
        "queues": [{**QUEUE, "name": name} for name in ("completions", "default")],
        "kinds": [{**KIND, "name": f"kind.number{n}"} for n in range(30)],
        "workers": [{"name": "worker-io@host", "slots": 4, "jobs": [JOB] * 30}],
        "tenants": [{"id": "a", "name": "Acme [red]", "running": 2, "attempts": attempts, "busy_seconds": 3.0}],
        "providers": [{"provider": "smtp", "calls": attempts, "failures": 20, "seconds": 5.0, "circuits_open": 1}],
        "failures": [{"kind": "kind.number1", "code": "provider_unavailable", "attempts": attempts}],
    }


def shown(drawn: Any, width: int = 120, height: int = 50) -> str:
    """What a terminal of that size shows."""
    console = Console(width=width, height=height, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def test_one_look_shows_counts_and_two_show_how_fast_they_grow() -> None:
    once = shown(draw(seen(100)))
    assert "provider_unavailable" in once
    assert "1 open" in once
    twice = shown(draw(seen(160), Before(seen(100), 0.0), 2.0))
    assert twice.count("30.0") == 3, twice  # 60 more in two seconds: of the tenant, the provider and the failures
    assert shown(draw(seen(50), Before(seen(100), 0.0), 2.0)).count("0.0") >= 3, (
        "a count that began anew is no negative speed"
    )


def test_it_fits_terminals_of_any_usual_size() -> None:
    for height in (24, 30, 50):
        text = shown(draw(seen(), height=height), 100, height)
        assert len(text.splitlines()) <= max(height, 34)
        assert max(len(line) for line in text.splitlines()) <= 100


def test_names_of_tenants_are_shown_as_they_are_written() -> None:
    assert "Acme [red]" in shown(draw(seen()))
