"""The domains' benchmarks as commands: each measures, prints its table and hands its figures on."""

from __future__ import annotations

import click
from rich.progress import Progress

from bench import report


@click.command()
@click.option("--mails", default=20_000, show_default=True, help="Recipients of the broadcast.")
@click.option("--peer-mails", default=4000, show_default=True, help="Mails that stock Celery sends.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
def broadcast(mails: int, peer_mails: int, rounds: int) -> None:
    """A broadcast's mails per second beside stock Celery with a task and a connection per mail."""
    from bench import broadcast as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, mails, peer_mails, rounds, progress)
    report.show(
        f"mails per second into a local sink: {mails:,} of a broadcast, {peer_mails:,} of stock Celery",
        ("sender", *(f"round {number + 1}" for number in range(rounds)), "connections"),
        [(name, *rates, found["connections"][name]) for name, rates in found["rates"].items()],
    )
    report.console.print(f"ours to the peer, median of the rounds: {found['ratio']:.2f}")
    report.console.print(
        f"memory of our worker after a tenth and at the end, MiB: {', '.join(f'{m:.0f}' for m in found['memory_mib'])}"
    )
    report.keep({"broadcast": found})


@click.command()
@click.option("--clients", default=300, show_default=True, help="Completions that stream at the same time.")
def streams(clients: int) -> None:
    """Completions that stream at once through one worker: how much later the first word comes, and the worker's memory."""
    from bench import streams as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, clients, progress)
    added = found["added"]
    report.show(
        f"{clients:,} completions that stream at once, {found['tokens_per_second']:.0f} words a second in all",
        ("first word, added to the provider's, ms", "p50", "p95", "worker, peak MiB"),
        [("through the platform", added["p50"] * 1e3, added["p95"] * 1e3, found["peak_mib"])],
    )
    report.keep({"streams": found})


@click.command("search-sources")
@click.option("--searches", default=200, show_default=True, help="Searches, one after the other.")
def search_sources(searches: int) -> None:
    """A search over five HTTP sources beside the slowest of them asked directly: what the platform adds."""
    from bench import search_sources as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, searches, progress)
    report.show(
        f"{searches:,} searches over {len(benchmark.DELAYS_MS)} sources that take {', '.join(map(str, benchmark.DELAYS_MS))} ms",
        ("seconds", "p50", "p95"),
        [(name, found[name]["p50"], found[name]["p95"]) for name in ("slowest", "search", "added")],
    )
    report.console.print(f"searches that were not answered by every source: {found['partial']}")
    report.keep({"search_sources": found})


@click.command()
@click.option("--subscriptions", default=10_000, show_default=True, help="Subscriptions that are due at once.")
@click.option("--events", default=1_000_000, show_default=True, help="Usage events that are summed.")
@click.option("--webhooks", default=5_000, show_default=True, help="Signed events that 50 senders send.")
def billing(subscriptions: int, events: int, webhooks: int) -> None:
    """Invoices beside one transaction per row, usage that is counted, and how soon webhooks are answered."""
    from bench import billing as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, subscriptions, events, webhooks, progress)
    rows = [("one transaction per row", found["naive_seconds"]), ("cycles, stopped once and resumed", found["cycle_seconds"]),
            ("ratio", found["ratio"]), (f"{events:,} usage events summed", found["usage"]["seconds"]),
            ("memory for that, MiB", found["usage"]["grown_mib"])]  # fmt: skip
    report.show(f"billing {subscriptions:,} subscriptions due at once, seconds", ("part", "value"), rows)
    paced, pressed = found["webhooks"], found["webhooks"]["pressed"]
    answered = [(name, *(each["seconds"][name] * 1e3 for each in (paced, pressed))) for name in ("p50", "p95", "p99")]
    rates = (
        f"{benchmark.SENDERS / benchmark.PAUSE:.0f} a second",
        f"as fast as it goes, {pressed['rate']:.0f} a second",
    )
    report.show(f"ms until a webhook is answered, {benchmark.SENDERS} senders", ("spread", *rates), answered)
    report.console.print(f"processor time of the API for each: {pressed['processor_seconds_each'] * 1e3:.2f} ms")
    report.keep({"billing": found})


@click.command()
@click.option("--documents", default=100_000, show_default=True, help="Of one tenant; others share its database.")
@click.option("--questions", default=200, show_default=True, help="Each asked in every way, one way after another.")
def search(documents: int, questions: int) -> None:
    """Searches of documents by words and by meaning beside the same SQL by hand, and the recall of filtered ones."""
    from bench import search as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, documents, questions, progress)
    report.show(
        f"milliseconds for a search of {documents:,} documents in a shared database",
        ("way", "p50", "p95"),
        [(name, each["p50"] * 1e3, each["p95"] * 1e3) for name, each in found["seconds"].items()],
    )
    report.console.print(f"recall of the {benchmark.NEAREST} nearest at 1 in {benchmark.RARE}: {found['recall']:.3f}")
    report.console.print(f"documents stored in a second, with their words: {found['stored_per_second']:,.0f}")
    report.console.print(f"MiB: {', '.join(f'{name} {size:,.0f}' for name, size in found['mib'].items())}")
    report.keep({"search": found})
