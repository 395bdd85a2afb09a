"""What the benchmarks stand on: real PostgreSQL and Valkey in a directory of their own, prepared as at a first start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import sql

from cli.embedded.home import Home
from cli.embedded.postgres import DATABASE, EmbeddedPostgres
from cli.embedded.secrets import secret
from cli.embedded.valkey import EmbeddedValkey
from config.settings import Settings, load
from domain.ids import new_id
from models.platform import User
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.provisioning import Provisioner, create_tenant
from tenancy.scopes import user_scope


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers with production's durability (`fsync` on) and an owner for tenants."""

    home: Path
    settings: Settings
    tenancy: Tenancy
    broker_url: str
    owner_id: UUID

    def redis_database(self, number: int) -> str:
        """Another database of the same server: a peer's own."""
        return f"{self.broker_url.removesuffix('/0')}/{number}"

    def logged(self, what: str) -> str:
        """`what`, and where the logs of the processes are."""
        return f"{what} (logs in {self.home / 'log'})"

    def new_tenant(self, tier: str) -> UUID:
        """The rows of a tenant that is still to be provisioned."""
        tenant_id = new_id()
        web = Tenancy(self.settings, "web")
        try:
            with web.platform.session(user_scope(self.owner_id, tenant_id)) as session:
                create_tenant(session, web.ring, name="Bench", tier=tier, owner_id=self.owner_id, tenant_id=tenant_id)
        finally:
            web.dispose()
        return tenant_id

    def tenant(self, tier: str = "pooled") -> UUID:
        """A provisioned tenant."""
        tenant_id = self.new_tenant(tier)
        saga = Provisioner(self.settings, self.tenancy, tenant_id)
        for _, step in saga.steps():
            step()
        saga.close()
        return tenant_id


@contextmanager
def ground() -> Iterator[Ground]:
    """Start the servers; stop and remove them at the end."""
    home = Path(tempfile.mkdtemp(prefix="nexus-bench-"))
    postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
    try:
        postgres.start()
        valkey.start()
        settings = _settings(home, postgres.dsn, valkey.url)
        with _prepared(home, settings, valkey.url) as made:
            yield made
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def second_platform(first: Ground) -> Iterator[Ground]:
    """Another platform on the same servers, in a database of its own."""
    name = f"{DATABASE}_second"
    with psycopg.connect(first.settings.owner_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = first.settings.owner_dsn.replace(f"/{DATABASE}?", f"/{name}?")
    settings = _settings(first.home, dsn, first.broker_url)
    with _prepared(first.home, settings, first.broker_url) as made:
        yield made


def _settings(home: Path, dsn: str, redis_url: str) -> Settings:
    return load(
        _env_file=None, NEXUS_HOME=home, DATABASE_URL=dsn, REDIS_URL=redis_url, BROKER_URL=redis_url,
        NEXUS_MASTER_KEYS=secret(Home(home), "NEXUS_MASTER_KEYS"), NEXUS_LOG_LEVEL="warning",
        STRIPE_WEBHOOK_SECRET="whsec_bench", FLOWER_PASSWORD="bench",
    )  # fmt: skip


@contextmanager
def _prepared(home: Path, settings: Settings, broker_url: str) -> Iterator[Ground]:
    prepare(settings)
    tenancy = Tenancy(settings, "engine")
    try:
        yield Ground(home, settings, tenancy, broker_url, _owner(settings))
    finally:
        tenancy.dispose()


def _owner(settings: Settings) -> UUID:
    owner_id = new_id()
    web = Tenancy(settings, "web")
    try:
        with web.platform.session(user_scope(owner_id)) as session:
            session.add(User(id=owner_id, email="bench@example.com", name="Bench", password_hash="none"))
    finally:
        web.dispose()
    return owner_id
