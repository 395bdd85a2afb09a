"""The benchmarks of tenancy and of the whole platform as commands: each measures, prints its table and hands its figures on."""

from __future__ import annotations

import click
from rich.progress import Progress

from bench import report


@click.command()
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
    report.keep({"provisioning": found})


@click.command()
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
    report.keep({"fleet": found})


@click.command("idle-tenants")
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
    report.keep({"idle_tenants": found})


@click.command("api-start")
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
    report.keep({"api_start": found})


@click.command("down_tenant")
@click.option("--clients", default=100, show_default=True, help="Clients of the tenant whose database is away.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each part of a round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
def down_tenant(clients: int, seconds: float, rounds: int) -> None:
    """What a tenant's requests take while a hundred clients ask for one whose database does not answer."""
    from bench import down_tenant as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, clients, seconds, rounds, progress)
    rows = [(name.replace("_", " "), points["p50"], points["p95"], found["ratio"].get(name, {}).get("p50", 1.0),
             found["ratio"].get(name, {}).get("p95", 1.0)) for name, points in found["milliseconds"].items()]  # fmt: skip
    report.show(
        f"milliseconds of a quiet tenant's requests; beside {clients} clients",
        ("", "p50", "p95", "ratio p50", "ratio p95"),
        rows,
    )
    report.keep({"down_tenant": found})


@click.command()
def memory() -> None:
    """Memory of the whole platform."""
    from bench import memory as benchmark
    from bench.home import temporary_home

    with temporary_home() as home:
        found = benchmark.measure(home)
    rows = [(name, int(row["processes"]), row["rss"], row["pss"])
            for name, row in [*found["programs"].items(), ("total", found["total"])]]  # fmt: skip
    report.show("memory of the running platform in MiB", ("program", "processes", "RSS", "PSS"), rows)
    report.keep({"memory": found})


@click.command()
@click.option(
    "--tenants", default=100_000, show_default=True, help="Tenants that wait at once when rounds are measured."
)
@click.option("--seconds", default=20.0, show_default=True, help="Virtual seconds of each simulated load.")
def scaling(tenants: int, seconds: float) -> None:
    """What a dispatch round costs by who waits, and what jobs wait at up to a million tenants, simulated."""
    from bench import scaling as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, tenants, seconds, progress)
    report.show(
        "a dispatch round, measured",
        ("tenants that wait", "jobs due", "milliseconds", "picked"),
        [(f"{each['tenants']:,}", each["due"], each["seconds"] * 1e3, each["picked"]) for each in found["rounds"]],
    )
    report.show(
        f"waits of those without a backlog, simulated: {found['slots']} slots, jobs of {found['job_seconds'] * 1e3:.0f} ms",
        ("tenants", "load", "jobs/s", "p50, ms", "p95, ms", "dispatcher busy", "slots busy", "left"),
        [(f"{each['tenants']:,}", each["name"], each["rate"], each["wait_p50"] * 1e3, each["wait_p95"] * 1e3,
          each["dispatcher_busy"], each["slots_busy"], each["left"]) for each in found["simulated"]],
    )  # fmt: skip
    report.keep({"scaling": found})


@click.command()
@click.option("--jobs", default=12_000, show_default=True, help="No-op jobs of each contender and round.")
@click.option("--mails", default=1500, show_default=True, help="Mails to files of each contender and round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the median of their ratios counts.")
@click.option("--tenants", default=1000, show_default=True, help="Tenants at the scrape, each at work in two queues.")
@click.option("--scrapes", default=50, show_default=True, help="Scrapes, with and without a label for each tenant.")
def telemetry(jobs: int, mails: int, rounds: int, tenants: int, scrapes: int) -> None:
    """What figures, logs and spans cost, and how long a scrape takes beside many tenants."""
    from bench import telemetry as benchmark
    from bench.ground import ground

    with ground() as servers, Progress(console=report.console, transient=True) as progress:
        found = benchmark.measure(servers, jobs, mails, rounds, tenants, scrapes, progress)
    for kind, count in found["counts"].items():
        of = found[kind.replace(".", "_")]
        report.show(
            f"{kind} per second: {count:,}, two worker processes",
            ("with", *(f"round {number + 1}" for number in range(rounds)), "median ratio"),
            [(name, *rates, of["ratios"][name]) for name, rates in of["rates"].items()],
        )
    report.show(
        f"milliseconds of a scrape, {tenants:,} tenants",
        ("NEXUS_METRICS", "p50", "p95", "KiB"),
        [(name, each["p50"], each["p95"], each["bytes"] / 1024) for name, each in found["scrape_ms"].items()],
    )
    report.console.print(f"a span while tracing is off: {found['span_off_ns']:.0f} ns")
    report.keep({"telemetry": found})
