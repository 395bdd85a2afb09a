"""The servers that the settings leave open, and the environment in which the platform's programs find everything."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dotenv import dotenv_values

from cli.embedded.home import Home, write_private
from cli.embedded.postgres import SETTINGS, EmbeddedPostgres
from cli.embedded.process import RUN_ID_VARIABLE
from cli.embedded.revival import Revival
from cli.embedded.run import Run, is_running
from cli.embedded.secrets import kept, secret
from cli.embedded.valkey import EmbeddedValkey
from config.settings import Settings, oldest_local_key
from domain.connections import needed

_SPARE_CONNECTIONS = 10
"""Beyond the budget; three of them PostgreSQL keeps for superusers."""


class EmbeddedPlatform:
    """What `nexus up` holds while it runs: the home, the embedded servers and the programs' environment."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.home = Home(settings.home)
        self.run = Run(self.home)
        self.environment: dict[str, str] = {}
        self._revivals: list[Revival] = []

    def claim(self) -> None:
        """Take the home; raise `AlreadyRunning` if another launcher has it."""
        self.run.claim()

    def start(self) -> dict[str, str]:
        """Start PostgreSQL and Valkey where the settings name none; return the variables that the programs need.

        They are also written to run/environment.json (0600) for other commands on this machine.
        Raises `EmbeddedServiceError`. Call `claim` before, and `stop` after, whatever happens.
        """
        settings, mark = self.settings, {RUN_ID_VARIABLE: self.run.id}
        for part in (self.home.logs, self.home.run, self.home.secrets):  # the programs expect them
            part.mkdir(exist_ok=True)
        environment = {
            "NEXUS_HOME": str(self.home.root),
            "NEXUS_SOCKETS": str(self.home.sockets),
            "NEXUS_HOST": settings.host,
            "NEXUS_PORT": str(settings.port),
            "FLOWER_PORT": str(settings.flower_port),
            "NEXUS_WORKER_IO_CONCURRENCY": str(settings.worker_io_concurrency),
            "NEXUS_WORKER_CPU_CONCURRENCY": str(settings.worker_cpu_concurrency),
            "NEXUS_SEARCH_PRIVATE_NETWORKS": settings.search_private_networks,
        }
        given = {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "BROKER_URL": settings.broker_url or settings.redis_url,
            "NEXUS_MASTER_KEYS": settings.master_keys,
            "NEXUS_ORIGIN_KEY": settings.origin_key,
            "FLOWER_PASSWORD": settings.flower_password,
            "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
        }
        environment |= {name: value.get_secret_value() for name, value in given.items() if value is not None}
        if needs_postgres(settings):
            postgres = EmbeddedPostgres(self.home.path, _room_for(settings), environment=mark)
            postgres.start()
            self._revivals.append(Revival(postgres))
            environment["DATABASE_URL"] = postgres.dsn
        if settings.redis_url is None:
            valkey = EmbeddedValkey(self.home.path, environment=mark)
            valkey.start()
            self._revivals.append(Revival(valkey))
            environment["REDIS_URL"] = valkey.url
            environment.setdefault("BROKER_URL", valkey.url)
        if settings.environment == "development":
            for name in ("NEXUS_MASTER_KEYS", "FLOWER_PASSWORD", "STRIPE_WEBHOOK_SECRET"):
                if name not in environment:
                    environment[name] = secret(self.home, name)
            if settings.origin_key is None:
                # The accounts of the home's own server stay what they are, whichever master keys come and go.
                environment["NEXUS_ORIGIN_KEY"] = kept(
                    self.home, "NEXUS_ORIGIN_KEY", oldest_local_key(environment["NEXUS_MASTER_KEYS"])
                )
        self.environment = environment
        write_private(self.home.run / "environment.json", json.dumps(environment, indent=1))
        return environment

    def revive(self) -> list[str]:
        """Bring back the servers that have ended by themselves; returns a sentence about each.

        Raises `EmbeddedServiceError` if one does not start, or keeps ending.
        """
        return [said for revival in self._revivals if (said := revival.check()) is not None]

    def program_environment(self) -> dict[str, str]:
        """The whole environment of the platform's programs: the launcher's, its `.env`, and what `start` returned."""
        from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        directory = str(Path(sys.executable).parent)
        environment = {
            **from_file,
            **os.environ,
            **self.environment,
            RUN_ID_VARIABLE: self.run.id,
            "PATH": f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
        }
        if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
            # Without compiled modules each program takes three times as long to start. What is not wanted beside
            # the sources (as in many containers) goes into the home.
            environment.setdefault("PYTHONPYCACHEPREFIX", str(self.home.run / "bytecode"))
        return environment

    def stop(self) -> None:
        """End every process of this run: the programs first, the servers last. May be called at any point."""
        self.run.end()


def _room_for(settings: Settings) -> dict[str, str]:
    """A server of our own gives as many connections as the settings ask for, and some for those who look into it."""
    return {"max_connections": str(max(int(SETTINGS["max_connections"]), needed(settings) + _SPARE_CONNECTIONS))}


def needs_postgres(settings: Settings) -> bool:
    """Whether no database is named: neither the owner's address nor both of the applications'."""
    return settings.database_url is None and None in (settings.database_web_url, settings.database_engine_url)


def running_environment(home: Path) -> dict[str, str] | None:
    """The variables of the platform that runs on `home`, so that other commands can join it; None if none runs."""
    place = Home(home)
    path = place.path / "run" / "environment.json"
    if not is_running(place) or not path.exists():
        return None
    environment: dict[str, str] = json.loads(path.read_text())
    return environment
