"""`python -m bench`: all benchmarks; `python -m bench throughput --jobs 5000 --rounds 3`: one of them.

`--quick` runs all with sizes that only show whether they work, and writes to var/bench-quick.json. `publish` makes the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.progress import Progress

from bench import report
from bench.summary import rows as aims


@click.group(invoke_without_command=True)
@click.option("--quick", is_flag=True, help="Tiny sizes: to see that all of it works. Believe no figure of it.")
@click.pass_context
def main(context: click.Context, quick: bool) -> None:
    """Measure, print tables, and write var/bench.json."""
    context.obj = "bench-quick" if quick else "bench"
    if context.invoked_subcommand == "publish":
        return
    report.show_machine()
    if context.invoked_subcommand is not None:
        return
    from bench.peers.base import check_installed

    check_installed()
    report.path_of(context.obj).unlink(missing_ok=True)  # all figures are of one run
    report.write(context.obj, {"load_average_before": report.machine()["load_average"]})
    for command, small in _ALL:
        context.invoke(command, **(small if quick else {}))
    report.show_summary(aims(report.read(context.obj)))


@main.command()
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
    _write({"throughput": found, "round_trips": counted})


@main.command()
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
    _write({"enqueue": found})


@main.command()
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
    _write({"latency": found})


@main.command()
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
    _write({"fairness": found})


@main.command()
@click.option("--jobs", default=500, show_default=True, help="Completions, and threads of the worker.")
def waits(jobs: int) -> None:
    """Jobs that wait two seconds on a provider, all at once on one worker."""
    from bench import waits as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, jobs, progress)
    rows = [(name.replace("_", " "), found[name]) for name in found if name not in {"jobs", "wait_seconds"}]
    report.show(f"{jobs} jobs that wait for 2 s", ("what", ""), rows)
    _write({"waits": found})


@main.command()
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
    _write({"waiters": found})


@main.command()
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
    _write({"broadcast": found})


@main.command()
@click.option("--rounds", default=2, show_default=True, help="Workers killed.")
def recovery(rounds: int) -> None:
    """Seconds from the SIGKILL of a worker until its jobs run again."""
    from bench import recovery as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, rounds, progress)
    report.show("recovery", ("round", "seconds"), [(str(n + 1), each) for n, each in enumerate(found["seconds"])])
    _write({"recovery": found})


@main.command()
def publish() -> None:
    """Write docs/benchmarks.md and its pictures from var/bench.json."""
    from bench.publish import publish as write

    write(report.path_of("bench"))


@main.command()
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
    _write({"growth": found})


@main.command()
@click.option("--tenants", default=5, show_default=True, help="Tenants made each way.")
def provisioning(tenants: int) -> None:
    """Seconds until a dedicated tenant is active."""
    from bench import provisioning as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, tenants, progress)
    rows = [*found["steps"].items(), ("all steps, directly", found["direct"]),
            ("through the job, from submission", found["through_the_job"])]  # fmt: skip
    report.show(f"provisioning a dedicated tenant, median of {tenants}", ("step", "seconds"), rows)
    _write({"provisioning": found})


@main.command()
@click.option("--tenants", default=1000, show_default=True, help="Tenants in all.")
@click.option("--dedicated", default=300, show_default=True, help="Those with a real database of their own.")
@click.option("--existing", default=200, show_default=True, help="Dedicated tenants that are there when more are made.")
@click.option("--made", default=40, show_default=True, help="Dedicated tenants made beside them, with all steps.")
def fleet(tenants: int, dedicated: int, existing: int, made: int) -> None:
    """Seconds to find a fleet current, to give each database a column, and to provision one more tenant."""
    from bench import fleet as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, tenants, dedicated, existing, made, progress)
    wave, grown = found["wave"], found["provisioning"]
    report.show(
        f"{found['tenants']:,} tenants in {found['databases']:,} databases",
        ("what", "seconds"),
        [("a check of a current fleet", found["check"]["seconds"]),
         (f"a column for each of {wave['databases']:,} databases", wave["seconds"]),
         (f"one more tenant beside {grown['existing']}, p50 of {grown['made']}", grown["p50"]),
         (f"one more tenant beside {grown['existing']}, p95 of {grown['made']}", grown["p95"])],
    )  # fmt: skip
    _write({"fleet": found})


@main.command("idle-tenants")
@click.option("--tenants", default=2000, show_default=True, help="Touched in turn by one process, several times.")
@click.option("--databases", default=16, show_default=True, help="Real databases that they are in.")
@click.option("--rounds", default=2, show_default=True, help="How often each is touched.")
def idle_tenants(tenants: int, databases: int, rounds: int) -> None:
    """Memory of a process that has touched many tenants, each of which has a pool of connections of its own."""
    from bench import idle_tenants as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, tenants, databases, rounds, progress)
    report.show(
        f"resident MiB of one process, {found['limit']} pools at most",
        ("tenants touched", "MiB", "open pools", "open files"),
        [(f"{row['touched']:,}", row["mib"], row["pools"], row["open_files"]) for row in found["rows"]],
    )
    _write({"idle_tenants": found})


@main.command("api-start")
@click.option("--rounds", default=5, show_default=True, help="Processes started.")
def api_start(rounds: int) -> None:
    """Seconds until the API's application exists, and the vendors' modules that it loaded."""
    from bench import api_start as benchmark
    from bench.ground import ground

    with ground() as servers:
        found = benchmark.measure(servers, rounds)
    rows = [(name, found[name]) for name in ("import", "create", "process")]
    report.show(f"start of the API, median of {rounds}", ("step", "seconds"), rows)
    report.console.print(f"{found['modules']} modules, {found['peak_mib']:.0f} MiB at most;"
                         f" of vendors: {', '.join(found['vendor_modules']) or 'none'}")  # fmt: skip
    _write({"api_start": found})


@main.command()
def memory() -> None:
    """Memory of the whole platform."""
    from bench import memory as benchmark
    from bench.home import temporary_home

    with temporary_home() as home:
        found = benchmark.measure(home)
    rows = [(name, int(row["processes"]), row["rss"], row["pss"])
            for name, row in [*found["programs"].items(), ("total", found["total"])]]  # fmt: skip
    report.show("memory of the running platform in MiB", ("program", "processes", "RSS", "PSS"), rows)
    _write({"memory": found})


def _write(figures: Mapping[str, Any]) -> None:
    report.write(click.get_current_context().obj, figures)


_ALL: tuple[tuple[click.Command, dict[str, int]], ...] = (
    (api_start, {"rounds": 1}),
    (provisioning, {"tenants": 1}),
    (fleet, {"tenants": 20, "dedicated": 6, "existing": 2, "made": 2}),
    (idle_tenants, {"tenants": 60, "databases": 4}),
    (throughput, {"jobs": 300, "rounds": 1}),
    (enqueue, {"requests": 160, "rounds": 1}),
    (latency, {"jobs": 5}),
    (fairness, {"backlog": 20_000, "peer_backlog": 500, "samples": 10}),
    (waits, {"jobs": 20}),
    (growth, {"rows": 10_000, "tenants": 20, "jobs": 200, "rounds": 1}),
    (waiters, {"clients": 50}),
    (broadcast, {"mails": 600, "peer_mails": 100, "rounds": 1}),
    (recovery, {"rounds": 1}),
    (memory, {}),
)
"""All benchmarks, with what makes each of them quick."""


if __name__ == "__main__":
    main()
