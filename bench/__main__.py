"""`python -m bench`: all benchmarks; `python -m bench throughput --jobs 5000 --rounds 3`: one of them."""

from __future__ import annotations

import click
from rich.progress import Progress

from bench import report


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure, print tables, and write var/bench.json."""
    report.show_machine()
    if context.invoked_subcommand is None:
        for command in (api_start, provisioning, throughput, growth, memory):
            context.invoke(command)


@main.command()
@click.option("--jobs", default=3000, show_default=True, help="No-op jobs of each contender and round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
def throughput(jobs: int, rounds: int) -> None:
    """No-op jobs per second beside stock Celery, and database round trips per job."""
    from bench import throughput as benchmark
    from bench import trips
    from bench.ground import ground

    with ground() as servers:
        counted = trips.measure(servers)
        with Progress(console=report.console, transient=True) as progress:
            found = benchmark.measure(servers, jobs, rounds, progress)
    columns = ("engine", *(f"round {number + 1}" for number in range(rounds)), "median ratio")
    report.show(
        f"jobs per second: {jobs} no-op jobs, prefork pool of {benchmark.CONCURRENCY}",
        columns,
        [
            ("stock Celery, Redis results", *found.stock, 1.0),
            ("stock Celery with task events (-E)", *found.watched, found.watched_ratio),
            ("Nexus (-E), 1 id per message", *found.single, found.single_ratio),
            ("Nexus (-E), up to 64 ids per message", *found.deep, found.deep_ratio),
        ],
    )
    report.show("database round trips", ("step", "trips"), list(counted.items()))
    report.write("bench", {"throughput": found.as_json(), "round_trips": counted})


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
    rounds_in_ms = [(name, seconds * 1e3) for name, seconds in found["dispatch_round_seconds"].items()]
    report.show("milliseconds of a dispatch round, by tenants", ("tenants", "ms"), rounds_in_ms)
    report.write("bench", {"growth": found})


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
    report.write("bench", {"provisioning": found})


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
    report.write("bench", {"api_start": found})


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
    report.write("bench", {"memory": found})


if __name__ == "__main__":
    main()
