"""The engine's benchmarks as commands: each measures, prints its table and hands its figures on."""

from __future__ import annotations

import click
from rich.progress import Progress

from bench import report


@click.command()
@click.option("--jobs", default=3000, show_default=True, help="No-op jobs of each contender and round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
def throughput(jobs: int, rounds: int) -> None:
    """No-op jobs per second beside Celery, Huey, Dramatiq and Procrastinate, and database round trips per job."""
    from bench import throughput as benchmark
    from bench import trips
    from bench.ground import ground
    from bench.page import LABELS
    from bench.peers.base import check_installed

    check_installed()
    with ground() as servers:
        counted = trips.measure(servers)
        with Progress(console=report.console, transient=True) as progress:
            found = benchmark.measure(servers, jobs, rounds, progress)
    report.show(
        f"jobs per second: {jobs:,} no-op jobs, two worker processes",
        ("engine", *(f"round {number + 1}" for number in range(rounds)), "median ratio"),
        [(LABELS[name], *rates, found["ratios"][name]) for name, rates in found["rates"].items()],
    )
    report.show("database round trips", ("step", "trips"), list(counted.items()))
    report.keep({"throughput": found, "round_trips": counted})


@click.command()
@click.option("--requests", default=2000, show_default=True, help="Submissions of each contender and round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
def enqueue(requests: int, rounds: int) -> None:
    """Submissions per second over HTTP beside stock Celery behind a minimal Flask endpoint."""
    from bench import enqueue as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, requests, rounds, progress)
    report.show(
        f"submissions per second: {requests:,} over {found['connections']} connections to one process",
        ("front", *(f"round {number + 1}" for number in range(rounds)), "answer p95, ms"),
        [(name, *rates, found["seconds"][name]["p95"] * 1e3) for name, rates in found["rates"].items()],
    )
    report.console.print(f"ours to the peer, median of the rounds: {found['ratio']:.2f}")
    report.keep({"enqueue": found})


@click.command()
@click.option("--jobs", default=200, show_default=True, help="Jobs of each contender, one at a time.")
def latency(jobs: int) -> None:
    """From the answer to running and to finished on an idle system, beside stock Celery."""
    from bench import latency as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, jobs, progress)
    report.show(
        f"milliseconds after the submission was answered, {jobs} jobs",
        ("engine", "running p50", "p95", "finished p50", "p95"),
        [(name, *(found[name][step][point] * 1e3 for step in ("to_running", "to_finished") for point in ("p50", "p95")))
         for name in ("nexus", "stock_celery")],
    )  # fmt: skip
    report.keep({"latency": found})


@click.command()
@click.option("--backlog", default=100_000, show_default=True, help="Jobs of the noisy tenant.")
@click.option("--peer-backlog", default=10_000, show_default=True, help="Tasks in stock Celery's queue.")
@click.option("--samples", default=100, show_default=True, help="Jobs of the quiet tenant, alone and beside.")
def fairness(backlog: int, peer_backlog: int, samples: int) -> None:
    """What a quiet tenant waits beside a deep backlog, to what it waits alone."""
    from bench import fairness as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, backlog, peer_backlog, samples, progress)
    peer = found["stock_celery"]
    report.show(
        "milliseconds from submission to running, p95",
        ("engine", "alone", "beside", "backlog"),
        [("nexus", found["alone"]["p95"] * 1e3, found["beside"]["p95"] * 1e3, backlog),
         ("stock_celery", peer["alone"] * 1e3, peer["beside"] * 1e3, peer_backlog)],
    )  # fmt: skip
    report.keep({"fairness": found})


@click.command()
@click.option("--jobs", default=500, show_default=True, help="Completions, and threads of the worker.")
def waits(jobs: int) -> None:
    """Jobs that wait two seconds on a provider, all at once on one worker."""
    from bench import waits as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, jobs, progress)
    rows = [(name.replace("_", " "), found[name]) for name in found if name not in {"jobs", "wait_seconds"}]
    report.show(f"{jobs} jobs that wait for 2 s", ("what", ""), rows)
    report.keep({"waits": found})


@click.command()
@click.option("--clients", default=1000, show_default=True, help="Streams, then as many long polls.")
def waiters(clients: int) -> None:
    """Open streams and long polls on one web process: its memory, and how late a client learns of the end."""
    from bench import waiters as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, clients, progress)
    report.show(
        f"{clients:,} clients on one web process",
        ("clients", "MiB with none", "MiB with all", "late p50, ms", "late p95, ms"),
        [(name, found[name]["empty_mib"], found[name]["pss_mib"], found[name]["late"]["p50"] * 1e3,
          found[name]["late"]["p95"] * 1e3) for name in ("streams", "long_polls")],
    )  # fmt: skip
    report.keep({"waiters": found})


@click.command()
@click.option("--rounds", default=2, show_default=True, help="Workers killed.")
def recovery(rounds: int) -> None:
    """Seconds from the SIGKILL of a worker until its jobs run again."""
    from bench import recovery as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, rounds, progress)
    report.show("recovery", ("round", "seconds"), [(str(n + 1), each) for n, each in enumerate(found["seconds"])])
    report.keep({"recovery": found})


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Finished jobs of the grown platform.")
@click.option("--tenants", default=2000, show_default=True, help="Its tenants.")
@click.option("--jobs", default=2000, show_default=True, help="No-op jobs of each platform and round.")
@click.option("--rounds", default=5, show_default=True, help="Rounds; the median of their ratios counts.")
def growth(rows: int, tenants: int, jobs: int, rounds: int) -> None:
    """What a job costs beside a long history and many tenants, to what it costs on an empty platform."""
    from bench import growth as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, rows, tenants, jobs, rounds, progress)
    empty, full = found["seconds_per_job"]["empty"], found["seconds_per_job"]["full"]
    report.show(
        f"microseconds per job: median of {rounds} rounds of {jobs} no-op jobs",
        ("step", "empty platform", f"{rows:,} finished jobs, {tenants:,} tenants", "median ratio"),
        [(step, empty[step] * 1e6, full[step] * 1e6, ratio) for step, ratio in found["ratio"].items()],
    )
    for name, counted in found["updates"].items():
        report.console.print(f"{name}: {counted['hot']:,} of {counted['updates']:,} updates touched no index (HOT)")
    rounds_in_ms = [(name, seconds * 1e3) for name, seconds in found["dispatch_round_seconds"].items()]
    report.show("milliseconds of a dispatch round, by tenants", ("tenants", "ms"), rounds_in_ms)
    report.keep({"growth": found})
