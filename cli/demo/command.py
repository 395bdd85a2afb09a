"""The command: bring the platform, run the parts one after the other, show and judge what came out."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType

import click

from cli.demo import account, billing, lifecycle, search, webhook, work
from cli.demo.board import Board
from cli.demo.place import Place, administrator, place
from cli.demo.stage import Stage
from cli.demo.state import DemoState, load_state
from cli.embedded.preflight import check_environment_file
from cli.errors import CommandFailed
from cli.processes import PlatformFailed
from config.settings import Settings, load

PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the demo shows. It may take `seconds`. Without a `needed` part, those after it make no sense."""

    name: str
    seconds: float
    run: Callable[[Stage], str]
    needed: bool = False


PARTS = (
    Part("account", 20, account.sign_in, needed=True),
    Part("tenant", 60, account.provision, needed=True),
    Part("notification", 30, work.notify),
    Part("completion", 60, work.complete),
    Part("search", 30, search.federate),
    Part("billing", 90, billing.bill),
    Part("webhook", 30, webhook.deliver),
    Part("job lifecycle", 20, lifecycle.live_and_die),
)


@click.command(
    epilog="""\b
Uses the platform that runs on NEXUS_HOME, or starts one there and stops it at the end. A second run continues with the
same account and tenant. For one beside another: NEXUS_HOME=/tmp/demo NEXUS_PORT=8001 FLOWER_PORT=5556 nexus demo
"""
)
def demo() -> int:
    """Run real jobs through every domain and show what came out.

    Exits with 0 if every part came out right, else with 1 and a line for each that did not.
    """
    check_environment_file()
    signal.signal(signal.SIGTERM, _leave)
    settings = load()
    state = load_state(settings.home)
    began = time.monotonic()
    failures: Mapping[str, str] = {}
    with Board([PLATFORM, *(part.name for part in PARTS)]) as board:
        board.begin(PLATFORM)
        board.tell(PLATFORM, "starting PostgreSQL, Valkey, web, dispatcher, workers, beat and Flower")
        try:
            with place(settings, state) as where:
                board.end(PLATFORM, "done", f"{'started' if where.is_ours else 'found running'} at {where.url}")
                failures = run_parts(board, _stage(settings, state, where))
        except (PlatformFailed, CommandFailed) as error:
            failures = {PLATFORM: _last_line(error)}
            board.end(PLATFORM, "failed", failures[PLATFORM])
    for name, reason in failures.items():
        click.echo(f"nexus: demo: {name} failed: {reason}", err=True)
    if PLATFORM not in failures:
        _addresses(where, state, time.monotonic() - began)
    return 1 if failures else 0


def run_parts(board: Board, stage: Stage, parts: tuple[Part, ...] = PARTS) -> Mapping[str, str]:
    """Run the parts; returns why each that failed did."""
    failures: dict[str, str] = {}
    missing: str | None = None
    for part in parts:
        if missing is not None:
            board.end(part.name, "skipped", f"needs {missing}")
            continue
        board.begin(part.name)
        stage.begin(part.seconds, lambda text, name=part.name: board.tell(name, text))
        try:
            board.end(part.name, "done", part.run(stage))
        except CommandFailed as error:
            failures[part.name] = str(error)
        except (LookupError, TypeError, ValueError) as error:
            # The API answered something else than it documents: the part failed, not the command.
            failures[part.name] = f"unexpected answer: {type(error).__name__}: {error}"
        finally:
            stage.end()
        if part.name in failures:
            board.end(part.name, "failed", failures[part.name])
            missing = part.name if part.needed else None
    return failures


def _stage(settings: Settings, state: DemoState, where: Place) -> Stage:
    return Stage(
        url=where.url,
        home=where.home,
        environment=where.environment,
        state=state,
        administrator=administrator(settings, state),
        outside_vendors=settings.stripe_api_key is not None,
    )


def _addresses(where: Place, state: DemoState, seconds: float) -> None:
    rows = {
        "API": f"{where.url}/api/v1",
        "docs": f"{where.url}/docs",
        "Flower": where.flower_url,
        "account": f"{state.email}, password in {state.path}",
        **({} if state.admin_email is None else {"operator": f"{state.admin_email}, password there too"}),
        "logs": str(where.home / "log"),
    }
    for name, text in rows.items():
        click.echo(f"{name:<9}{text}")
    after = "; the platform was stopped: `nexus up` brings it back with this data" if where.is_ours else ""
    click.echo(f"demo took {seconds:.1f} s{after}")


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("nexus: ") if lines else type(error).__name__


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # the blocks are left in order, which stops the platform
