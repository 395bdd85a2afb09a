"""`python -m bench.chaos`: 12,000 jobs over 20 tenants, under 40 kills and worse."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from bench import report
from bench.chaos.plan import LONG, Plan, steps
from bench.chaos.run import ENVIRONMENT, Chaos, totals
from bench.chaos.screen import screen
from bench.chaos.up import COMMAND
from bench.home import temporary_home
from bench.rabbitmq import PrivateRabbitMQ, RabbitMissing
from cli.processes import PlatformProcess

FOREIGN = ("DATABASE_URL", "DATABASE_WEB_URL", "DATABASE_ENGINE_URL", "REDIS_URL", "BROKER_URL")


@click.command()
@click.option("--jobs", default=12_000, show_default=True, type=click.IntRange(min=1), help="Jobs to submit.")
@click.option("--tenants", default=20, show_default=True, type=click.IntRange(min=1), help="Half have a database.")
@click.option("--kills", default=40, show_default=True, type=click.IntRange(min=0), help="SIGKILLs of workers.")
@click.option("--poison", default=6, show_default=True, type=click.IntRange(min=0), help="Jobs that kill their worker.")
@click.option("--seed", default=1, show_default=True, help="Draws jobs and moments.")
@click.option("--broker", default="valkey", show_default=True, type=click.Choice(["valkey", "rabbitmq"]))
@click.option("--home", type=click.Path(path_type=Path), help="Keep data and logs there.  [default: nowhere]")
def main(jobs: int, tenants: int, kills: int, poison: int, seed: int, broker: str, home: Path | None) -> None:
    """Kill, flush and restart a whole platform under load, then count what was lost or done twice.

    Exit code 1 if anything was, or if the API said what was not so.
    """
    if given := [name for name in FOREIGN if os.environ.get(name)]:
        raise click.UsageError(f"chaos stops its servers, so they must be its own: unset {', '.join(given)}")
    if jobs < 20 * (tenants + poison):
        raise click.UsageError(f"--jobs: at least {20 * (tenants + poison)} for so many tenants and so much poison")
    plan = Plan(jobs, tenants, steps(kills, LONG), poison, seed=seed)
    report.show_machine()
    with ExitStack() as stack:
        home = home or stack.enter_context(temporary_home())
        environment, server = dict(ENVIRONMENT), None
        if broker == "rabbitmq":
            server = PrivateRabbitMQ(home / "rabbitmq")
            stack.callback(server.stop)
            try:
                server.start()
            except RabbitMissing as error:
                raise click.ClickException(str(error)) from None
            environment["BROKER_URL"] = server.url
        process = PlatformProcess(home / "nexus", environment=environment, command=COMMAND)
        platform = stack.enter_context(process)
        with screen(report.console, totals(plan)) as shown:
            tally = Chaos(platform, plan, shown, server).run()
    report.show_tally(tally.as_json())
    chosen = {"jobs": jobs, "tenants": tenants, "kills": kills, "poison": poison, "seed": seed, "broker": broker}
    report.write("chaos", {"plan": chosen, **tally.as_json()})
    sys.exit(1 if tally.problems else 0)


if __name__ == "__main__":
    main()
