"""`nexus prepare`: bring the servers to what this version of the code needs, before the programs start."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the data layer is loaded when the command runs
    from uuid import UUID

    from config.settings import Settings
    from tenancy.access import Tenancy
    from tenancy.bootstrap import Prepared


def prepare_platform(settings: Settings) -> Prepared:
    """Roles, schemas, the first administrator, and a place for the operator's tenant, so that the first call finds it.

    Tenants' databases are not touched: if some are behind, a wave is started, which the new version's workers drive.
    Idempotent. Raises `SettingsError` if the server cannot be reached or the account may not do what is needed.
    """
    from jobs.provisioning import ensure_provisioning
    from tenancy.access import Tenancy
    from tenancy.bootstrap import prepare

    prepared = prepare(settings)
    door = Tenancy(settings, "engine")
    try:
        if door.record(prepared.operator_tenant_id).state == "provisioning":
            ensure_provisioning(door, prepared.operator_tenant_id, prepared.operator_owner_id)
            _provision_now(door, prepared.operator_tenant_id)
        _migrate_the_fleet(door)
    finally:
        door.dispose()
    return prepared


def _provision_now(door: Tenancy, tenant_id: UUID) -> None:
    """What the job would do as soon as a worker runs. If it can't be done yet, the job tries again, and says why."""
    from tenancy.provisioning import Provisioner

    saga = Provisioner(door.settings, door, tenant_id)
    try:
        for name, step in saga.steps():
            try:
                step()
            except Exception as error:  # noqa: BLE001 - a bucket that is away must not keep the platform down
                click.echo(f"nexus: the operator's tenant has to wait: {name}: {type(error).__name__}", err=True)
                return
    finally:
        saga.close()


def _migrate_the_fleet(door: Tenancy) -> None:
    """Start a wave, unless one is unfinished. The operator's tenant, whose job it is, may have to wait for its bucket."""
    from domain.errors import Conflict, ServiceUnavailable
    from domain.ids import new_id
    from jobs import waves
    from tenancy import fleet

    if not fleet.behind(door.platform, []):
        return
    try:
        waves.start(door, new_id(), [], "system:prepare")
    except (Conflict, ServiceUnavailable) as error:
        click.echo(f"nexus: tenants' databases are behind: {error.detail}", err=True)


@click.command("prepare")
@click.option("--json", "as_json", is_flag=True, help="Print the administrator that was made as JSON, else null.")
def prepare_command(as_json: bool) -> None:
    """Create roles, migrate the platform's database, start a wave over the tenants', and make the first administrator.

    Needs DATABASE_URL with an account that may create roles and databases. Run it before a new version starts; `nexus up`
    does it by itself. Any number may run at once.
    """
    from cli.embedded.preflight import check_environment_file, check_servers
    from config.settings import load

    check_environment_file()
    settings = load()
    check_servers(settings)
    prepared = prepare_platform(settings)
    administrator = prepared.administrator
    for notice in prepared.notices:
        click.echo(f"nexus: {notice}", err=True)
    if as_json:
        click.echo(json.dumps(None if administrator is None else asdict(administrator)))
        return
    if administrator is not None and administrator.password is not None:
        click.echo(f"administrator {administrator.email} password {administrator.password} (shown this once)")
    click.echo("prepared")
