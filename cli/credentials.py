"""What `nexus login` keeps in NEXUS_HOME/cli.json (0600), and where commands go with it.

Credentials are sent only to the server that gave them: the one at the same address, or this home's own platform, whose
port may differ from one start to the next.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.client import Client
from cli.errors import CommandFailed

R = TypeVar("R")

NOT_LOGGED_IN = "log in first: nexus login --email you@example.com (or set NEXUS_API_KEY)"


@dataclass(frozen=True, slots=True)
class Login:
    """One login at one server. `api_key` belongs to the tenant; `refresh_token` to the user, and changes at each use."""

    url: str
    local: bool
    email: str
    refresh_token: str
    tenant_id: str | None = None
    tenant_name: str | None = None
    api_key: str | None = None
    api_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where to go. `local` if it is the platform that runs on our home."""

    url: str
    local: bool


class Store:
    """The file in `home`. `locked` keeps two commands from spending the same refresh token."""

    def __init__(self, home: Path):
        self.path = home.expanduser().resolve() / "cli.json"

    def read(self) -> Login | None:
        """The login that is kept. Raises `CommandFailed` if the file is damaged."""
        try:
            return Login(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, OSError):
            raise CommandFailed(f"{self.path} cannot be read; remove it and log in again") from None

    def write(self, login: Login) -> None:
        """Keep this login in place of the one before."""
        from cli.embedded.home import write_private

        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.path, json.dumps(asdict(login), indent=1))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_name(".cli.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Connection:
    """How commands reach the API: the address and key that were given, else what is known in `home`."""

    def __init__(self, home: Path, url: str | None = None, api_key: str | None = None):
        self.store = Store(home)
        self._home, self._url, self._api_key = home, url, api_key

    def server(self) -> Server:
        """The server that was named, else this home's platform, else the one of the login. Raises `CommandFailed`."""
        if self._url:
            return Server(self._url.rstrip("/"), local=False)
        if (url := local_url(self._home)) is not None:
            return Server(url, local=True)
        login = self.store.read()
        if login is not None and not login.local:
            return Server(login.url, local=False)
        raise CommandFailed(f"no platform runs on {self._home}; start it with `nexus up`, or name one with --url")

    def login(self) -> Login | None:
        """The kept login, if it is one at this server."""
        server, login = self.server(), self.store.read()
        if login is None or not (login.url == server.url or (login.local and server.local)):
            return None
        return login

    def as_tenant(self) -> Client:
        """A client within the tenant of the API key."""
        key = self._api_key
        if not key:
            login = self.login()
            key = None if login is None else login.api_key
            if login is not None and key is None:
                raise CommandFailed(f"no tenant is chosen: nexus login --email {login.email} --tenant …")
        if not key:
            raise CommandFailed(NOT_LOGGED_IN)
        return Client(self.server().url, credential=key)

    def as_user(self, tenant: str | None = None) -> Client:
        """A client in the name of the user who logged in, or of the API key if one was given."""
        url = self.server().url
        if self._api_key:
            return Client(url, credential=self._api_key, tenant=tenant)
        return Client(url, credential=self._access_token(url), tenant=tenant)

    def _access_token(self, url: str) -> str:
        with self.store.locked():
            login = self.login()
            if login is None:
                raise CommandFailed(NOT_LOGGED_IN)
            with Client(url) as client:
                tokens = client.post("/api/v1/auth/refresh-token", {"refresh_token": login.refresh_token})
            self.store.write(replace(login, refresh_token=tokens["refresh_token"]))
        return str(tokens["access_token"])


def local_url(home: Path) -> str | None:
    """The address of the platform that runs on `home`; None if none does."""
    from cli.embedded.platform import running_environment
    from cli.embedded.supervisor import local_host

    environment = running_environment(home)
    if environment is None:
        return None
    host = local_host(environment["NEXUS_HOST"])
    return f"http://{f'[{host}]' if ':' in host else host}:{environment['NEXUS_PORT']}"


def connected(command: Callable[..., R]) -> Callable[..., R]:
    """Give the command --url and --api-key, which may also stand before its name, and pass it a `Connection`."""

    @click.option("--url", metavar="URL", help="A remote server (NEXUS_URL); else the platform running on NEXUS_HOME.")
    @click.option("--api-key", metavar="KEY", help="Other accounts see options: NEXUS_API_KEY is better.")
    @wraps(command)
    def run(*arguments: Any, url: str | None, api_key: str | None, **options: Any) -> R:
        from config.settings import load

        given = click.get_current_context().find_root().params
        connection = Connection(load().home, url or given.get("url"), api_key or given.get("api_key"))
        return command(connection, *arguments, **options)

    return run
