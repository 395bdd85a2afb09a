"""`python -m bench`: all benchmarks; `python -m bench throughput --jobs 5000 --rounds 3`: one of them.

`--quick` runs all with sizes that only show whether they work, and writes to var/bench-quick.json. `publish` makes the page.
"""

from __future__ import annotations

import click

from bench import report
from bench.commands import domains, engine, platform
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
def publish() -> None:
    """Write docs/benchmarks.md and its pictures from var/bench.json."""
    from bench.publish import publish as write

    write(report.path_of("bench"))


_ALL: tuple[tuple[click.Command, dict[str, int]], ...] = (
    (platform.api_start, {"rounds": 1}),
    (platform.provisioning, {"tenants": 1}),
    (platform.fleet, {"tenants": 20, "dedicated": 6, "existing": 2, "made": 2}),
    (platform.idle_tenants, {"tenants": 60, "databases": 4}),
    (domains.billing, {"subscriptions": 300, "events": 10_000, "webhooks": 200}),
    (engine.throughput, {"jobs": 300, "rounds": 1}),
    (engine.enqueue, {"requests": 160, "rounds": 1}),
    (engine.latency, {"jobs": 5}),
    (engine.fairness, {"backlog": 20_000, "peer_backlog": 500, "samples": 10}),
    (engine.waits, {"jobs": 20}),
    (domains.streams, {"clients": 10}),
    (domains.search_sources, {"searches": 5}),
    (engine.growth, {"rows": 10_000, "tenants": 20, "jobs": 200, "rounds": 1}),
    (engine.waiters, {"clients": 50}),
    (domains.search, {"documents": 2000, "questions": 5}),
    (domains.broadcast, {"mails": 600, "peer_mails": 100, "rounds": 1}),
    (engine.recovery, {"rounds": 1}),
    (platform.down_tenant, {"clients": 5, "seconds": 2, "rounds": 1}),
    (platform.scaling, {"tenants": 2000, "seconds": 2}),
    (platform.telemetry, {"jobs": 300, "mails": 50, "rounds": 1, "tenants": 20, "scrapes": 3}),
    (platform.memory, {}),
)
"""All benchmarks, with what makes each of them quick."""

for _command, _ in _ALL:
    main.add_command(_command)


if __name__ == "__main__":
    main()
