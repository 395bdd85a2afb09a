"""A real PgBouncer in front of the run's PostgreSQL: transaction mode, passwords asked of the server itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cli.embedded.account import account_for
from cli.embedded.postgres import SUPERUSER, EmbeddedPostgres
from cli.embedded.process import MINIMAL_ENVIRONMENT, keep
from cli.embedded.secrets import secret
from cli.processes import free_port

_START_SECONDS = 30.0

_CONFIGURATION = """
[databases]
* = host={sockets} auth_user={superuser}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {home}/users.txt
auth_query = SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
logfile = {home}/pgbouncer.log
"""


def require_pgbouncer() -> None:
    """Skip the test where PgBouncer is not installed, or fail it where it must be."""
    if shutil.which("pgbouncer", path=_PATH) is not None:
        return
    missing = "PgBouncer is not installed: apt-get install pgbouncer"
    if os.environ.get("CI") == "true" or os.environ.get("NEXUS_TEST_PGBOUNCER") == "required":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


class PgBouncer:
    """One PgBouncer, with `pool_size` connections to each database under each account: few, so that they are shared."""

    def __init__(self, home: Path, server: EmbeddedPostgres, pool_size: int = 2):
        self._home = home
        self._server = server
        self._pool_size = pool_size
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, without an account."""
        return f"postgresql://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and return when it listens. It refuses to run as root, as PostgreSQL does, so it shares its account."""
        account = account_for(self._server.home.postgres)
        self._home.mkdir(parents=True, exist_ok=True)
        password = secret(self._server.home, SUPERUSER)
        files = {
            "users.txt": f'"{SUPERUSER}" "{password}"\n',
            "pgbouncer.ini": _CONFIGURATION.format(
                sockets=self._server.socket_directory, superuser=SUPERUSER, port=self._port, home=".",
                pool_size=self._pool_size,
            ),
        }  # fmt: skip
        account.own(self._home)
        for name, text in files.items():
            (self._home / name).write_text(text)
            account.own(self._home / name)
        program = shutil.which("pgbouncer", path=_PATH)
        assert program is not None
        with (self._home / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                (program, "pgbouncer.ini"), env=MINIMAL_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                **account.spawn_arguments(self._home),
            )  # fmt: skip
        keep(self._process)
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start: {(self._home / 'output.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as when its machine fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True
