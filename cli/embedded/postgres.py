"""A real PostgreSQL 18 in the home, reachable only through a private unix socket and only with a password.

Every account, the superuser too, authenticates with SCRAM: roles are what separates tenants, so a server that
trusts whoever connects would make isolation a pretence.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil

from cli.embedded.account import Account, account_for
from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.home import Home
from cli.embedded.process import MINIMAL_ENVIRONMENT, end, keep
from cli.embedded.secrets import secret

SUPERUSER = "postgres"
OWNER = "nexus_owner"
DATABASE = "nexus_platform"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # a failing statement may hold a password or a tenant's data
    "log_checkpoints": "off",
    "unix_socket_permissions": "0700",
}
AUTHENTICATION = "# Written at every start. No line may say trust.\nlocal all all scram-sha-256\n"

_START_SECONDS = 60.0
_FAST_SECONDS, _IMMEDIATE_SECONDS = 15.0, 5.0


class EmbeddedPostgres:
    """The cluster in `home`/postgres. `settings` override server parameters, e.g. `{"fsync": "off"}` for tests.

    `environment` is added to the server's otherwise minimal environment. `start` and `stop` may be called from different processes: the server is known by its data directory.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ):
        self.home = Home(home)
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment = {**MINIMAL_ENVIRONMENT, **(environment or {})}
        self.name = "PostgreSQL"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The platform database as its owner, who may create roles and databases but is no superuser."""
        return self._dsn(OWNER, DATABASE)

    @property
    def superuser_dsn(self) -> str:
        """The maintenance database as superuser: for this module and for fault tests, never for the platform."""
        return self._dsn(SUPERUSER, "postgres")

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        postmaster = self._postmaster()
        return None if postmaster is None else postmaster.pid

    @property
    def socket_directory(self) -> Path:
        return self.home.sockets / "pg"

    def start(self) -> None:
        """Start the server, making the cluster first if there is none; return when it serves.

        Takes over after any crash: what is left of an earlier server is ended, stale lock files are removed and
        PostgreSQL recovers from its log. Raises `EmbeddedServiceError`.
        """
        account = account_for(self.home.postgres)
        self.stop()
        self._prepare_socket_directory(account)
        if not self.home.postgres.exists():
            self._initialise(account)
        (self.home.postgres / "postmaster.pid").unlink(missing_ok=True)  # whoever has the id in it: no server runs
        authentication = self.home.postgres / "pg_hba.conf"
        authentication.write_text(AUTHENTICATION)
        account.own(authentication)
        try:
            self._spawn(account)
            self._prepare_platform()
        except BaseException:
            self.stop()
            raise

    def start_again(self) -> None:
        """Start a server that has ended by itself; its address stays. Raises `EmbeddedServiceError`."""
        self.start()

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.home.log("postgres")

    def stop(self) -> None:
        """Stop the server: disconnect clients and checkpoint; after 15 s abort, after 5 s more kill."""
        self.process = None
        postmaster = self._postmaster()
        if postmaster is not None:
            steps = ((signal.SIGINT, _FAST_SECONDS), (signal.SIGQUIT, _IMMEDIATE_SECONDS), (signal.SIGKILL, 5.0))
            end([postmaster], steps)
        end(self._servers(), ((signal.SIGQUIT, 2.0), (signal.SIGKILL, 5.0)))  # backends of a server that was killed
        if self.home.path.exists():
            shutil.rmtree(self.home.sockets / "pg", ignore_errors=True)
            self.home.discard_sockets()

    def _dsn(self, user: str, database: str) -> str:
        host = quote(str(self.socket_directory), safe="/")
        return f"postgresql://{user}:{secret(self.home, user)}@/{database}?host={host}"

    def _prepare_socket_directory(self, account: Account) -> None:
        directory = self.socket_directory
        directory.mkdir(mode=0o700, exist_ok=True)
        account.own(directory)

    def _initialise(self, account: Account) -> None:
        """Make the cluster beside its place and move it there whole, so that a crash leaves no half-made one."""
        unfinished = self.home.root / "postgres.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        password = self.socket_directory / "password"
        password.touch(mode=0o600)
        account.own(password)
        password.write_text(secret(self.home, SUPERUSER))
        command = [
            str(account.programs / "initdb"), "-D", _data_argument(account, unfinished), "-U", SUPERUSER, "--auth=scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--no-instructions",
        ]  # fmt: skip
        if self.settings["fsync"] == "off":
            command.append("--no-sync")
        try:
            result = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                env=self.environment,
                **account.spawn_arguments(unfinished),
            )
        finally:
            password.unlink()
        if result.returncode != 0:
            raise EmbeddedServiceError(f"PostgreSQL: initdb failed: {_reason(result.stderr)}")
        unfinished.rename(self.home.postgres)

    def _spawn(self, account: Account) -> None:
        parameters = {**self.settings, "unix_socket_directories": str(self.socket_directory)}
        command = [str(account.programs / "postgres"), "-D", _data_argument(account, self.home.postgres)]
        for name, value in parameters.items():
            command += ["-c", f"{name}={value}"]
        log = self.log
        with log.open("ab") as output:
            beginning = output.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                **account.spawn_arguments(self.home.postgres),
            )
        keep(process)
        self.process = process
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if process.poll() is not None:
                with log.open("rb") as written:
                    written.seek(beginning)
                    reason = _last_line(written.read().decode(errors="replace"))
                raise EmbeddedServiceError(f"PostgreSQL did not start: {reason} (see {log})")
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(f"PostgreSQL was not ready within {_START_SECONDS:.0f} s (see {log})")
            time.sleep(0.02)

    def _ready(self) -> bool:
        try:
            lines = (self.home.postgres / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"  # LOCK_FILE_LINE_PM_STATUS of miscadmin.h

    def _prepare_platform(self) -> None:
        """Make the owner, the extension and the platform database; each step may have been done before."""
        import psycopg  # only here: the guardian stops servers and needs no client
        from psycopg import sql

        with closing(psycopg.connect(self._dsn(SUPERUSER, "template1"), autocommit=True)) as connection:
            # pgvector is no trusted extension, so that only a superuser may add it; databases made later inherit it.
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with closing(psycopg.connect(self.superuser_dsn, autocommit=True)) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,)).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(OWNER)))
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                    sql.Identifier(OWNER), sql.Literal(secret(self.home, OWNER))
                )
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
                )
            for database in (DATABASE, "postgres", "template1"):
                connection.execute(
                    sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
                )

    def _postmaster(self) -> psutil.Process | None:
        """The server that holds the data directory, if it really runs there."""
        try:
            pid = int((self.home.postgres / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return next((process for process in self._servers() if process.pid == pid), None)

    def _servers(self) -> list[psutil.Process]:
        """Every PostgreSQL process that works in our data directory."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.exe()).name == "postgres" and _works_in(process, self.home.path / "postgres"):
                    found.append(process)
            except (psutil.Error, OSError):  # of another account, or gone by now: not ours
                continue
        return found


def _works_in(process: psutil.Process, directory: Path) -> bool:
    """Whether this very directory is the working directory; a container's may only be called the same."""
    link = Path(f"/proc/{process.pid}/cwd")
    return link.samefile(directory) if link.exists() else process.cwd() == str(directory)


def _data_argument(account: Account, data: Path) -> str:
    return "/proc/self/cwd" if account.switches and Path("/proc/self/cwd").exists() else str(data)


def _reason(text: str) -> str:
    """The line that says what went wrong; after it initdb tells how it tidies up."""
    wrong = [line for line in text.splitlines() if "error:" in line or "FATAL" in line or "PANIC" in line]
    return _last_line("\n".join(wrong) or text)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
