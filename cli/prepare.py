"""`nexus prepare`: bring the servers to what this version of the code needs, before the programs start."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the data layer is loaded when the command runs
    from config.settings import Settings
    from tenancy.bootstrap import Prepared


def prepare_platform(settings: Settings) -> Prepared:
    """Roles, schemas, the first administrator, and a job that gives the operator's tenant its place if it has none.

    Idempotent. Raises `SettingsError` if the server cannot be reached or the account may not do what is needed.
    """
    from jobs.provisioning import ensure_provisioning
    from tenancy.access import Tenancy
    from tenancy.bootstrap import prepare

    prepared = prepare(settings)
    door = Tenancy(settings, "web")
    try:
        if door.record(prepared.operator_tenant_id).state == "provisioning":
            ensure_provisioning(door, prepared.operator_tenant_id, prepared.operator_owner_id)
    finally:
        door.dispose()
    return prepared


@click.command("prepare")
@click.option("--json", "as_json", is_flag=True, help="Print the administrator that was made as JSON, else null.")
def prepare_command(as_json: bool) -> None:
    """Create roles, migrate all databases, and make the first administrator.

    Needs DATABASE_URL with an account that may create roles and databases. Run it before a new version starts; `nexus up`
    does it by itself. Any number may run at once.
    """
    from cli.embedded.preflight import check_environment_file, check_servers
    from config.settings import load

    check_environment_file()
    settings = load()
    check_servers(settings)
    administrator = prepare_platform(settings).administrator
    if as_json:
        click.echo(json.dumps(None if administrator is None else asdict(administrator)))
        return
    if administrator is not None and administrator.password is not None:
        click.echo(f"administrator {administrator.email} password {administrator.password} (shown this once)")
    click.echo("prepared")
