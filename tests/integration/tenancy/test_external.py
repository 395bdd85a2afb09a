"""A tenant on its own PostgreSQL server, here a second real one on loopback."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench.engine import until
from cli.embedded.postgres import EmbeddedPostgres
from config.settings import Settings
from domain.destinations import parse_networks
from domain.errors import NexusError, NotNow, Permanent, Transient
from domain.ids import new_id
from domain.tenants.servers import parse_server
from providers.storage import open_bucket
from tenancy.access import Tenancy
from tenancy.directory import BucketAddress
from tenancy.provisioning import OwnPlace, Provisioner, create_tenant
from tenancy.scopes import user_scope

LOOPBACK = "127.0.0.0/8"
LOOKALIKE = (
    "CREATE TABLE applied_jobs (); CREATE TABLE alembic_version (version_num text);"
    " INSERT INTO alembic_version VALUES ('9999'); GRANT ALL ON alembic_version TO lookalike"
)
PASSWORD = "their own secret"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """A customer's server. Gives the URL of an account on a database of its own there."""
    address = f"127.{os.getpid() % 200 + 1}.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"
    home: Path = tmp_path_factory.mktemp("theirs")
    server = EmbeddedPostgres(home, {"fsync": "off", "listen_addresses": address})
    server.start()
    local = server.superuser_dsn
    (server.home.postgres / "pg_hba.conf").write_text(
        "local all all scram-sha-256\nhost all all 127.0.0.0/8 scram-sha-256\n"
    )
    with psycopg.connect(local, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")

    def account(name: str, attributes: str = "CREATEROLE", setup: str = "") -> str:
        with psycopg.connect(local, autocommit=True) as connection:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN " + attributes + " PASSWORD {}").format(role, PASSWORD))  # type: ignore[arg-type]
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        if setup:
            with psycopg.connect(local, dbname=name, autocommit=True) as connection:
                connection.execute(setup)  # type: ignore[arg-type]
        return f"postgresql://{name}:{PASSWORD.replace(' ', '%20')}@{address}:5432/{name}?sslmode=disable"

    account.server = server  # type: ignore[attr-defined]
    yield account
    server.stop()


@pytest.fixture
def door(settings: Settings) -> Iterator[Tenancy]:
    """The workers' door of an operator who lets tenants have their servers on loopback."""
    tenancy = Tenancy(settings.model_copy(update={"tenant_private_networks": LOOPBACK}), "engine")
    yield tenancy
    tenancy.dispose()


@pytest.fixture
def row(web_tenancy: Tenancy, user: UUID) -> Callable[..., UUID]:
    """Makes an external tenant that is still to be provisioned."""

    def make(url: str, bucket: BucketAddress | None = None) -> UUID:
        tenant_id = new_id()
        own = OwnPlace(parse_server(url, parse_networks(LOOPBACK)).dsn, bucket)
        with web_tenancy.platform.session(user_scope(user, tenant_id)) as session:
            create_tenant(
                session, web_tenancy.ring, name="Own", tier="external", owner_id=user, tenant_id=tenant_id, own=own
            )
        return tenant_id

    return make


def provision(door: Tenancy, tenant_id: UUID, stop: int | None = None) -> None:
    saga = Provisioner(door.settings, door, tenant_id)
    try:
        for _, step in saga.steps()[:stop]:
            step()
    finally:
        saga.close()


def test_an_external_tenant_lives_on_its_own_server_under_an_account_that_owns_nothing(
    door: Tenancy, row: Callable[..., UUID], theirs: Callable[..., str]
) -> None:
    tenant_id = row(theirs("acme"))
    provision(door, tenant_id, stop=3)
    provision(door, tenant_id)  # as after a crash
    assert door.record(tenant_id).state == "active"
    with door.session(tenant_id) as session:
        connection = session.connection()
        connection.exec_driver_sql(
            "INSERT INTO customers (tenant_id, id, name, email) VALUES (%s, %s, 'A', 'a@example.com')",
            (tenant_id, new_id()),
        )
        assert connection.exec_driver_sql("SELECT current_database()").scalar() == "acme"
        powers = "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        assert connection.exec_driver_sql(powers).scalar() is False
        owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = current_user"
        assert connection.exec_driver_sql(owned).scalar() == 0
    with (
        psycopg.connect(door.record(tenant_id).dsn or "") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE mine ()")


@pytest.mark.parametrize(
    ("name", "attributes", "setup", "code"),
    [
        ("boss", "SUPERUSER", "", "external_server_unfit"),
        ("bypass", "CREATEROLE BYPASSRLS", "", "external_server_unfit"),
        ("weak", "", "", "external_server_unfit"),
        ("foreign", "CREATEROLE", "CREATE TABLE theirs (id int)", "external_schema_foreign"),
        ("lookalike", "CREATEROLE", LOOKALIKE, "external_schema_foreign"),
    ],
)  # fmt: skip
def test_a_server_that_will_not_do_says_why_and_is_left_as_it_was(
    door: Tenancy,
    row: Callable[..., UUID],
    theirs: Callable[..., str],
    name: str,
    attributes: str,
    setup: str,
    code: str,
) -> None:
    tenant_id = row(theirs(name, attributes, setup))
    with pytest.raises(Permanent) as raised:
        provision(door, tenant_id)
    assert raised.value.job_code == code
    saga = Provisioner(door.settings, door, tenant_id)
    assert saga.compensate("will not do")
    saga.close()
    assert door.record(tenant_id).state == "failed"


def test_a_wrong_password_a_missing_database_and_a_closed_port_are_told_apart(
    door: Tenancy, row: Callable[..., UUID], theirs: Callable[..., str]
) -> None:
    good = theirs("told")
    told: dict[str, tuple[type[NexusError], str]] = {
        good.replace("told:their", "told:another"): (Permanent, "external_server_refused"),
        good.replace("/told?", "/nothing?"): (Permanent, "external_server_refused"),
        good.replace(":5432/", ":9/"): (Transient, "external_server_unavailable"),
    }
    for url, (kind, code) in told.items():
        with pytest.raises(kind) as raised:
            provision(door, row(url))
        assert (code, getattr(raised.value, "job_code", None)) == (code, code)
        assert PASSWORD not in str(raised.value)


def test_an_address_that_leads_inside_is_refused_also_when_the_name_turns_later(
    engine_tenancy: Tenancy, door: Tenancy, row: Callable[..., UUID], theirs: Callable[..., str]
) -> None:
    """The operator of `engine_tenancy` lists no networks."""
    url = theirs("turned")
    with pytest.raises(Permanent) as raised:
        provision(engine_tenancy, row(url))
    assert raised.value.job_code == "address_refused"
    tenant_id = row(url)
    provision(door, tenant_id)
    with pytest.raises(NotNow), engine_tenancy.session(tenant_id) as session:
        session.connection()


def test_a_tenant_whose_own_server_is_down_keeps_nobody_else_waiting(
    door: Tenancy, row: Callable[..., UUID], theirs: Any, pooled_tenant: UUID
) -> None:
    tenant_id = row(theirs("sinking"))
    provision(door, tenant_id)
    with psycopg.connect(theirs.server.superuser_dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE sinking ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'sinking'")
    with pytest.raises((NotNow, Transient)) as raised, door.session(tenant_id) as session:
        session.connection()
    assert raised.value.job_code == "tenant_database_down"
    with door.session(pooled_tenant) as session:
        assert session.connection().exec_driver_sql("SELECT 1").scalar() == 1


@pytest.fixture
def their_s3(tmp_path: Path) -> Iterator[str]:
    """An object store of the customer's with one bucket; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.faults.object_store", str(port), "acme-nexus"]
    with (tmp_path / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: answers(port), 60, "their S3")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    """Whether someone listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_bucket_of_its_own_is_used_below_its_prefix_and_nothing_else_there_is_touched(
    door: Tenancy, row: Callable[..., UUID], theirs: Callable[..., str], their_s3: str
) -> None:
    address = {"name": "acme-nexus", "endpoint": their_s3, "access_key": "key", "secret_key": "secret"}
    beside = open_bucket(door.settings, **address)
    beside.put("their own.txt", b"stays")
    tenant_id = row(theirs("bucketeer"), BucketAddress(**address, prefix="nexus/acme"))
    provision(door, tenant_id)
    door.bucket(tenant_id).put("reports/a.txt", b"ours")
    assert {info.key for info in beside.list()} == {"their own.txt", "nexus/acme/.nexus", "nexus/acme/reports/a.txt"}
    assert door.bucket(tenant_id).erase() == 2
    assert {info.key for info in beside.list()} == {"their own.txt"}
