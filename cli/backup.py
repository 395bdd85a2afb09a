"""`nexus backup`: backups of the whole platform. A tenant's own are `nexus tenants backup`."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.credentials import Connection, connected
from cli.errors import CommandFailed
from cli.keys import finish, operators_client, wait_option
from cli.options import as_json_option
from cli.output import note, print_details, print_json, print_table
from cli.pauses import PATH
from cli.telling import Telling

if TYPE_CHECKING:  # the data layer is loaded when a command runs
    from config.settings import Settings
    from tenancy.recovery.store import Store

COLUMNS = ("id", "taken_at", "bytes", "rows", "tenants", "left_out", "problem")


@click.group(
    epilog="""\b
Examples:
  nexus backup create                  a backup now; by itself with NEXUS_PLATFORM_BACKUP_HOURS=24
  nexus backup list
  nexus backup verify latest           reads all of it, and holds every byte against what was written
  nexus restore latest                 onto servers that have nothing: see docs/operations/restoring.md
"""
)
def backup() -> None:
    """Make, list, verify and prune backups of the whole platform.

    All but `create` read the bucket with this machine's settings, so they work when the platform does not.
    """


@backup.command()
@wait_option
@as_json_option
@connected
def create(connection: Connection, wait: bool, as_json: bool) -> int:
    """Back up the platform's database and every tenant's. For operators."""
    with connection.as_user() as client:
        job = client.post(f"{PATH}/backups", idempotency_key=str(uuid.uuid4()))
        return finish(operators_client(client), job, wait=wait, as_json=as_json)


@backup.command("list")
@as_json_option
def list_backups(as_json: bool) -> None:
    """List the backups that are whole, the newest first."""
    with reading() as store:
        found = [store.shown(each) for each in reversed(store.ids())]
    shown = [{**each, "id": str(each["id"]), "taken_at": each["taken_at"].isoformat()} for each in found]
    if as_json:
        print_json({"items": shown})
        return
    print_table(
        COLUMNS, [[*(each[name] for name in COLUMNS[:5]), len(each["left_out"]), each["problem"]] for each in shown]
    )


@backup.command()
@click.argument("backup_id", metavar="ID|latest")
@as_json_option
def verify(backup_id: str, as_json: bool) -> None:
    """Read a backup whole and hold it against what was written. Ends with 2 and one line if it is damaged."""
    from tenancy.masters import open_ring
    from tenancy.recovery.verify import Files

    settings = settings_here()
    with reading(settings) as store, Telling() as telling:
        chosen = choose(store, backup_id)
        manifest = Files(store, open_ring(settings), chosen).check(telling)
    told = {"backup": str(chosen), "files": len(manifest.files), "rows": manifest.rows, "bytes": manifest.bytes}
    print_json(told) if as_json else print_details({name: str(value) for name, value in told.items()})


@backup.command()
@click.option("--dry-run", is_flag=True, help="Only list what would go.")
@as_json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Remove backups that no rule keeps: the last of each of 30 days, 12 months and 7 years stays."""
    with reading() as store:
        superfluous = store.superfluous(datetime.now(UTC))
        if not dry_run:
            for each in superfluous:
                store.remove(each)
            store.sweep()
    if as_json:
        print_json({"removed": [str(each) for each in superfluous], "dry_run": dry_run})
        return
    for each in superfluous:
        click.echo(str(each))
    note(f"{len(superfluous)} {'would go' if dry_run else 'removed'}")


def settings_here() -> Settings:
    """This machine's settings, with the addresses and keys of the platform on `NEXUS_HOME` if there is one."""
    from cli.embedded.home import Home
    from cli.embedded.platform import running_environment
    from cli.embedded.preflight import check_environment_file
    from config.settings import SettingsError, load

    check_environment_file()
    warn_on_standard_error()
    settings = load()
    running = running_environment(settings.home)
    if running is not None:
        return load(**running)
    kept = Home(settings.home).path / "secrets" / "NEXUS_MASTER_KEYS"
    if settings.master_keys is None and kept.exists():
        return load(NEXUS_MASTER_KEYS=kept.read_text(encoding="utf-8"))
    if settings.master_keys is None:
        raise SettingsError("NEXUS_MASTER_KEYS: missing; a backup opens only with the master keys of its time")
    return settings


def warn_on_standard_error() -> None:
    """Have what the data layer logs of itself told there, from warnings on: standard output is the command's, as JSON for scripts."""
    import structlog

    if not structlog.is_configured():  # by whoever has the command run within a process of its own
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


@contextmanager
def reading(settings: Settings | None = None) -> Iterator[Store]:
    """The backups, with every problem as one line."""
    from domain.errors import JobError, NexusError
    from tenancy.masters import open_ring
    from tenancy.recovery.store import Store

    chosen = settings or settings_here()
    try:
        yield Store(chosen, open_ring(chosen))
    except NexusError as error:
        code = error.job_code if isinstance(error, JobError) else error.code
        raise CommandFailed(f"{error.detail} [{code}]") from None


def choose(store: Store, backup_id: str) -> uuid.UUID:
    """The backup of that id, or the newest. Raises `CommandFailed`."""
    if backup_id == "latest":
        newest = next(store.newest_first(), None)
        if newest is None:
            raise CommandFailed("there is no backup; NEXUS_BACKUP_FOLDER, or S3_BUCKET, says where to look")
        return newest
    try:
        return uuid.UUID(backup_id)
    except ValueError:
        raise CommandFailed(f"{backup_id!r} is no backup's id; `nexus backup list` shows them") from None
