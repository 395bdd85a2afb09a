"""`nexus up`: the whole platform in the foreground, until Ctrl-C.

Exit codes: 0 after Ctrl-C or SIGTERM, 1 if a part could not start or died, 2 if the settings cannot work.
Every problem is one line on standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

import click
from rich.console import Console

from cli.embedded.errors import AlreadyRunning, EmbeddedServiceError
from cli.embedded.platform import EmbeddedPlatform
from cli.embedded.preflight import check_environment_file, check_ports, check_servers
from cli.embedded.supervisor import CONFIGURATION, Supervisor, is_ready, last_line, local_host
from config.settings import Settings, SettingsError, load

READY_SECONDS = 120.0
"""How long the programs may take until `/health/ready` answers 200."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Administrator(Protocol):
    """The operator's first account; `password` only when it was made up just now."""

    @property
    def email(self) -> str: ...
    @property
    def password(self) -> str | None: ...


class Prepared(Protocol):
    """What preparing the servers says: `administrator` is None if there was one already."""

    @property
    def administrator(self) -> Administrator | None: ...


Prepare = Callable[[Settings], Prepared]


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal. No `Exception`, so that nothing on the way takes it for a failure."""


def prepare_servers(settings: Settings) -> Prepared:
    """Create roles, schemas and the first administrator, in a process of its own.

    So the launcher, which stays for as long as the platform runs, does not carry the data layer.
    """
    command = [sys.executable, "-m", "cli", "prepare", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    problems = [line.removeprefix("nexus: ") for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 2:
        raise SettingsError(*problems)
    if done.returncode:
        raise EmbeddedServiceError(f"preparing the databases failed: {problems[-1] if problems else 'no reason given'}")
    for notice in problems:
        click.echo(f"nexus: {notice}", err=True)
    answer = json.loads(done.stdout)
    return _Prepared(None if answer is None else _Administrator(answer["email"], answer["password"]))


@dataclass(frozen=True, slots=True)
class _Administrator:
    email: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Prepared:
    administrator: Administrator | None


def serve(settings: Settings, *, prepare: Prepare = prepare_servers, configuration: Path = CONFIGURATION) -> None:
    """Run the platform until a stop signal; return after everything has ended, whatever happened.

    Raises `SettingsError`, `AlreadyRunning` or `EmbeddedServiceError`, each after everything has ended.
    """
    platform = EmbeddedPlatform(settings)
    supervisor = Supervisor(platform, configuration)
    console = Console(stderr=True)
    try:
        platform.claim()
        check_ports(settings)
        check_servers(settings)
        with console.status("Starting PostgreSQL and Valkey") if console.is_terminal else contextlib.nullcontext():
            environment = platform.start()
        os.environ.update(environment)
        with console.status("Preparing the databases") if console.is_terminal else contextlib.nullcontext():
            _prepare(prepare)
        with console.status("Starting the programs") if console.is_terminal else contextlib.nullcontext():
            supervisor.start()
            _wait_until_ready(supervisor, settings)
        _announce(platform)
        while True:
            _watch(supervisor)
            platform.run.guard()
            time.sleep(0.5)
    except StopRequested:
        return
    finally:
        _ignore_stop_signals()
        with console.status("Stopping") if console.is_terminal else contextlib.nullcontext():
            platform.stop()


def _prepare(prepare: Prepare) -> None:
    """Prepare the servers, and show the first administrator at once: if a later step fails, the password is not lost."""
    settings = load()
    if settings.database_url is None:  # only the applications' own accounts were given: somebody else prepares
        return
    administrator = prepare(settings).administrator
    if administrator is not None and administrator.password is not None:
        click.echo(f"administrator {administrator.email} password {administrator.password} (shown this once)")
        sys.stdout.flush()


def _wait_until_ready(supervisor: Supervisor, settings: Settings) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(settings.host, settings.port):
        _watch(supervisor)
        if time.monotonic() > deadline:
            logs = supervisor.platform.home.logs
            raise EmbeddedServiceError(
                f"not ready after {READY_SECONDS:.0f} s; web says: {last_line(logs / 'web.log')} (see {logs})"
            )
        time.sleep(0.1)


def _watch(supervisor: Supervisor) -> None:
    """Bring back what may have ended; raise `EmbeddedServiceError` for what cannot be brought back."""
    supervisor.check()
    for said in supervisor.platform.revive():
        click.echo(f"nexus: {said}", err=True)


def _announce(platform: EmbeddedPlatform) -> None:
    settings = platform.settings
    host = local_host(settings.host)
    host = f"[{host}]" if ":" in host else host
    password = platform.home.path / "secrets" / "FLOWER_PASSWORD"
    where = f"password in {password}" if settings.flower_password is None else "password in FLOWER_PASSWORD"
    click.echo(f"docs   http://{host}:{settings.port}/docs")
    click.echo(f"flower http://{host}:{settings.flower_port} user {settings.flower_user}, {where}")
    click.echo(f"nexus ready http://{host}:{settings.port}")
    sys.stdout.flush()


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """Turn the first stop signal into `StopRequested`; later ones are ignored while things end in order."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_stop_signals()
        raise StopRequested

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_stop_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def stop_at_end_of_input() -> None:
    """Stop when standard input ends: the process that started us holds its other end and has gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):  # not through sys.stdin, whose lock would hinder the exit
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run(action: Callable[[], None]) -> int:
    """Do `action` until it returns or a stop signal comes; print its errors and return the exit code."""
    try:
        with _stop_signals():
            action()
    except SettingsError as error:
        return _complain(2, *error.problems)
    except AlreadyRunning as error:
        return _complain(2, str(error))
    except EmbeddedServiceError as error:
        return _complain(1, str(error))
    except StopRequested:
        return 0
    return 0


def _complain(code: int, *problems: str) -> int:
    for problem in problems:
        click.echo(f"nexus: {problem}", err=True)
    return code


@click.command()
@click.option("--until-input-ends", is_flag=True, hidden=True, help="Stop when standard input ends.")
def up(until_input_ends: bool) -> None:
    """Run the whole platform here until Ctrl-C.

    PostgreSQL and Valkey are started too where DATABASE_URL and REDIS_URL are unset. All data is below NEXUS_HOME.
    """

    def action() -> None:
        if until_input_ends:
            stop_at_end_of_input()
        check_environment_file()
        serve(load())

    sys.exit(run(action))


if __name__ == "__main__":
    up()
