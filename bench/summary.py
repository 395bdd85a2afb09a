"""The aims and what was measured, side by side. Pure: figures in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One aim. `met` is nothing where it was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """As in the table."""
        return "not measured" if self.met is None else "yes" if self.met else "no"


def rows(figures: Mapping[str, Any]) -> list[Row]:
    """The aims in their order, from the parts of `var/bench.json`."""
    return [_row(figures, *aim) for aim in _AIMS]


def _row(
    figures: Mapping[str, Any], part: str, what: str, wanted: str, judge: Callable[[Any], tuple[str, bool]]
) -> Row:
    if part not in figures:
        return Row(what, wanted, "", None)
    measured, met = judge(figures[part])
    return Row(what, wanted, measured, met)


def _deep(found: Any) -> tuple[str, bool]:
    ratio, to_huey = found["ratios"]["nexus_deep"], found["deep_to_huey"]
    return f"{ratio:.1f}× stock Celery, {to_huey:.1f}× Huey", ratio >= 8 and to_huey > 1


def _single(found: Any) -> tuple[str, bool]:
    ratio = found["ratios"]["nexus_single"]
    return f"{ratio:.2f}× stock Celery", ratio >= 1


def _latency(found: Any) -> tuple[str, bool]:
    ours, theirs = found["nexus"]["to_running"]["p95"], found["stock_celery"]["to_running"]["p95"]
    # Negative if the job ran before its client had the answer: then there is nothing to be twice as late as.
    met = ours <= 0.025 and ours <= 2 * max(theirs, 0.0)
    return f"{milliseconds(ours)}; stock Celery {milliseconds(theirs)}", met


def _fairness(found: Any) -> tuple[str, bool]:
    alone, beside = found["alone"]["p95"], found["beside"]["p95"]
    measured = f"{found['ratio']:.2f}×: {milliseconds(alone)} alone, {milliseconds(beside)} beside {found['backlog']:,}"
    return measured, found["ratio"] <= 2


def _waits(found: Any) -> tuple[str, bool]:
    measured = f"{found['ratio']:.2f}×, {found['peak_mib']:.0f} MiB, {found['jobs']:,} at once"
    return measured, found["ratio"] <= 1.5 and found["peak_mib"] < 400


def _streams(found: Any) -> tuple[str, bool]:
    added, held = found["added"]["p95"], found["peak_mib"]
    return f"{milliseconds(added)}, {held:.0f} MiB with {found['clients']:,}", added < 0.05 and held < 500


def _search_sources(found: Any) -> tuple[str, bool]:
    added = round(found["search"]["p95"] - found["slowest"]["p95"], 6)
    return f"{milliseconds(found['search']['p95'])}: {milliseconds(added)} more", added <= 0.05


def _growth(found: Any) -> tuple[str, bool]:
    ratio = found["ratio"]["together"]
    return f"{ratio:.2f}× with {found['finished']:,} finished and {found['tenants']:,} tenants", ratio <= 1.3


def _waiters(found: Any) -> tuple[str, bool]:
    kinds = [found["streams"], found["long_polls"]]
    late, held = max(each["late"]["p95"] for each in kinds), max(each["pss_mib"] for each in kinds)
    return f"{held:.0f} MiB, {milliseconds(late)} with {found['clients']:,}", held < 300 and late < 0.2


def _search(found: Any) -> tuple[str, bool]:
    words, both, recall = found["seconds"]["keyword"]["p95"], found["seconds"]["hybrid"]["p95"], found["recall"]
    measured = f"{milliseconds(words)}, {milliseconds(both)}, {recall:.3f}"
    return measured, words < 0.05 and both < 0.1 and recall >= 0.95


def _recovery(found: Any) -> tuple[str, bool]:
    slowest = max(found["seconds"])
    return f"{slowest:.1f} s", slowest <= 20


def _api_start(found: Any) -> tuple[str, bool]:
    seconds, vendors = found["import"] + found["create"], found["vendor_modules"]
    return f"{seconds:.2f} s, {len(vendors)} vendors' modules", seconds < 1.5 and not vendors


def _memory(found: Any) -> tuple[str, bool]:
    held = found["total"]["pss"]
    return f"{held:.0f} MiB", held < 1000


def _fleet(found: Any) -> tuple[str, bool]:
    made, check, wave = found["provisioning"]["p95"], found["check"]["seconds"], found["wave"]["seconds"]
    return f"{made:.2f} s, {check:.1f} s, {wave:.0f} s with {found['tenants']:,}", made < 1 and check < 10 and wave < 60


def _idle_tenants(found: Any) -> tuple[str, bool]:
    held = [row["mib"] for row in found["rows"]]
    return f"{held[0]:.0f} → {held[-1]:.0f} MiB with {found['rows'][-1]['touched']:,}", held[-1] < 1.2 * held[0]


def _down_tenant(found: Any) -> tuple[str, bool]:
    ratio = found["ratio"]["beside_away"]
    return f"{ratio['p50']:.2f}× p50, {ratio['p95']:.2f}× p95", max(ratio.values()) <= 1.1


def _broadcast(found: Any) -> tuple[str, bool]:
    first, *_, last = found["memory_mib"]
    return f"{found['ratio']:.1f}×, {first:.0f} → {last:.0f} MiB", found["ratio"] >= 5 and last < 1.1 * first


def _billing(found: Any) -> tuple[str, bool]:
    grown = found["usage"]["grown_mib"]
    measured = f"{found['ratio']:.1f}×, {grown:.0f} MiB more with {found['usage']['events']:,} events"
    return measured, found["ratio"] >= 5 and grown < 10


def _payment_webhooks(found: Any) -> tuple[str, bool]:
    usual, pressed = found["webhooks"]["seconds"]["p99"], found["webhooks"]["pressed"]
    measured = f"{milliseconds(usual)}; {milliseconds(pressed['seconds']['p99'])} at {pressed['rate']:,.0f} a second"
    return measured, max(usual, pressed["seconds"]["p99"]) < 0.1


def _telemetry(found: Any) -> tuple[str, bool]:
    kept, scrape = found["system_ping"]["ratios"]["usual"], found["scrape_ms"]["totals"]["p95"]
    return f"{1 - kept:.1%}, {scrape:.1f} ms with {found['tenants']:,} tenants", kept > 0.95 and scrape < 100


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with their unit."""
    return f"{seconds * 1e3:.1f} ms"


_AIMS: tuple[tuple[str, str, str, Callable[[Any], tuple[str, bool]]], ...] = (
    ("throughput", "no-op drain, deep backlog, same processes", "8× stock Celery with results, ahead of Huey", _deep),
    ("throughput", "no-op drain, one id per message", "1.0× stock Celery with results", _single),
    ("latency", "idle latency, submit answered → running, p95", "25 ms, at most 2× stock Celery's", _latency),
    ("fairness", "quiet tenant's p95 wait beside a deep backlog", "at most 2× its wait alone", _fairness),
    (
        "waits",
        "jobs waiting 2 s on a provider, all at once on one worker",
        "1.5× of the ideal time, under 400 MB",
        _waits,
    ),
    (
        "streams",
        "first word of completions that stream at once on one worker, added",
        "p95 under 50 ms, under 500 MB",
        _streams,
    ),
    (
        "search_sources",
        "search over five sources, p95",
        "at most the slowest answering source's + 50 ms",
        _search_sources,
    ),
    (
        "search",
        "documents of a shared database by words, by both ways, p95; recall of the nearest at 1 %",
        "50 ms, 100 ms, 0.95",
        _search,
    ),
    ("growth", "cost per job with a long history and many tenants", "at most 1.3× of empty", _growth),
    ("waiters", "open streams or long polls on one web process", "under 300 MB, p95 wake-up under 200 ms", _waiters),
    ("recovery", "recovery after SIGKILL", "20 s", _recovery),
    ("api_start", "start of an API process", "1.5 s, no vendor's module", _api_start),
    ("memory", "memory of the whole platform", "under 1,000 MiB", _memory),
    (
        "fleet",
        "one more dedicated tenant beside 200, p95; a check of a current fleet; a column for every database",
        "1 s, 10 s, 60 s",
        _fleet,
    ),
    ("idle_tenants", "memory of a process that has touched thousands of tenants", "flat: under 1.2×", _idle_tenants),
    (
        "down_tenant",
        "a tenant's requests beside 100 clients of one whose database is away",
        "at most 1.1×",
        _down_tenant,
    ),
    ("broadcast", "mails of a broadcast, beside stock Celery with a task for each", "5×, memory flat", _broadcast),
    (
        "billing",
        "10,000 subscriptions due at once, beside a transaction for each; usage summed",
        "5×, memory flat",
        _billing,
    ),
    ("billing", "a payment provider's webhook answered, 50 senders, p99", "100 ms", _payment_webhooks),
    ("telemetry", "what metrics and logs take of no-op throughput; a scrape, p95", "5 %, 100 ms", _telemetry),
)
