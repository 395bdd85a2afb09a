"""`nexus restore`: bring a whole platform back from a backup, onto servers that have nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.backup import choose, reading, settings_here
from cli.errors import CommandFailed
from cli.options import as_json_option
from cli.output import print_details, print_json
from cli.telling import Telling

if TYPE_CHECKING:
    from config.settings import Settings


@click.command(
    "restore",
    epilog="""\b
Examples:
  NEXUS_HOME=/srv/nexus NEXUS_BACKUP_FOLDER=/mnt/backups NEXUS_MASTER_KEYS=… nexus restore latest
  DATABASE_URL=… S3_BUCKET=… NEXUS_MASTER_KEYS=… nexus restore 0198f0aa-0000-7000-8000-000000000001
\b
A tenant alone is restored by `nexus tenants restore`. All about it: docs/operations/restoring.md
""",
)
@click.argument("backup_id", metavar="ID|latest")
@click.option(
    "--existing",
    type=click.Choice(["refuse", "keep", "replace"]),
    default="refuse",
    show_default=True,
    help="What to do about tenants' databases that are there already.",
)
@as_json_option
def restore(backup_id: str, existing: str, as_json: bool) -> None:
    """Bring the platform back from a backup: its database, every tenant's, and objects that were kept in files.

    Nothing is touched before all of the backup was read. One that is killed leaves a platform that does not start; the same
    command goes on from there.
    """
    from tenancy.recovery.restore import Restoration

    given = settings_here()
    with reading(given) as store:
        chosen = choose(store, backup_id)
        store.manifest(chosen)  # before any server is started for it
        with _servers(given) as settings, Telling() as telling, _one_line():
            restored = Restoration(settings, chosen, telling, existing).run()  # type: ignore[arg-type]  # click has checked it
            _prepare(settings)
    told = {
        "backup": str(restored.backup_id), "tenants": restored.tenants, "rows": restored.rows,
        "without_data": list(restored.without_data),
    }  # fmt: skip
    print_json(told) if as_json else print_details({name: str(value) for name, value in told.items()})


@contextmanager
def _servers(settings: Settings) -> Iterator[Settings]:
    """The settings with a database: an embedded one is started for as long as it takes, if none is named."""
    from cli.embedded.home import write_private
    from cli.embedded.platform import EmbeddedPlatform, needs_postgres
    from config.settings import load

    if not needs_postgres(settings):
        yield settings
        return
    platform = EmbeddedPlatform(settings)
    try:
        platform.claim()
        environment = platform.start()
        kept = platform.home.secrets / "NEXUS_MASTER_KEYS"
        if not kept.exists():  # so that `nexus up` finds them on this home without being told
            write_private(kept, environment["NEXUS_MASTER_KEYS"])
        yield load(**environment)
    finally:
        platform.stop()


@contextmanager
def _one_line() -> Iterator[None]:
    import psycopg
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (psycopg.OperationalError, OperationalError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CommandFailed(f"DATABASE_URL: the database went away: {line}; run the same command again") from None


def _prepare(settings: Settings) -> None:
    """Bring what came back to this version's schema, as before every start."""
    from cli.prepare import prepare_platform

    prepare_platform(settings)
