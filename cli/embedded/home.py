"""One platform's directory: where its data, secrets, logs and run-time files are.

`Home` owns two invariants. Everything below it is the platform's alone (mode 0700). Unix sockets do not lie in
it, because their paths end at about 100 bytes while a home may be deep: they get a short private directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import tempfile
from functools import cached_property
from pathlib import Path

from cli.embedded.errors import EmbeddedServiceError

# Longest path that fits into `sockaddr_un` everywhere (104 on macOS and BSD, 108 on Linux), less its final zero.
# supervisor binds `<name>.<pid>` first, so its name decides how much is left for the directory.
LONGEST_SOCKET_PATH = 103
LONGEST_SOCKET_NAME = len("/supervisor.sock.4194304")


class Home:
    """The directories of the platform whose home is `path`; each is made when first asked for."""

    def __init__(self, path: Path):
        self.path = path.expanduser().resolve()

    @cached_property
    def root(self) -> Path:
        """The home itself. Raises `EmbeddedServiceError` if it cannot be made or written."""
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise EmbeddedServiceError(f"NEXUS_HOME: {self.path} cannot be made: {error.strerror}") from None
        if not self.path.is_dir() or not os.access(self.path, os.W_OK | os.X_OK):
            raise EmbeddedServiceError(f"NEXUS_HOME: {self.path} is no directory that this account may write to")
        return self.path

    @cached_property
    def secrets(self) -> Path:
        return self._private("secrets")

    @cached_property
    def logs(self) -> Path:
        return self._private("log")

    @cached_property
    def run(self) -> Path:
        """What only a running platform means: lock, process record, environment, schedules."""
        return self._private("run")

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory; made by `EmbeddedPostgres`, since it may belong to another account."""
        return self.root / "postgres"

    @property
    def sockets(self) -> Path:
        """A short directory outside the home for unix sockets: the same at every start, and only ours.

        Its name derives from a random seed kept in the home and from the home's path: nobody can guess and
        occupy it beforehand, and a copied home gets another one. If somebody did occupy it since, a new seed is drawn.
        As root others may pass through (never list), because PostgreSQL runs under an account of its own.
        """
        mode = 0o711 if os.geteuid() == 0 else 0o700
        for _ in range(3):
            if not self._seed.exists():
                write_private(self.run / self._seed.name, secrets.token_hex(16))
            directory = self._socket_directory()
            if _own_directory(directory, mode):
                return directory
            self._seed.unlink()
        raise EmbeddedServiceError(f"no private directory for sockets can be made below {tempfile.gettempdir()}")

    def discard_sockets(self) -> None:
        """Remove the directory of the sockets if nothing is in it any more; the next use makes it again."""
        if self._seed.exists():
            with contextlib.suppress(OSError):
                self._socket_directory().rmdir()

    def log(self, name: str, keep_bytes: int = 10_000_000) -> Path:
        """Path of the log `name`.log; one that has grown past `keep_bytes` is set aside as `name`.log.1 first."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > keep_bytes:
            path.replace(path.with_name(f"{name}.log.1"))
        return path

    @property
    def _seed(self) -> Path:
        return self.path / "run" / "sockets"

    def _socket_directory(self) -> Path:
        name = hashlib.sha256(f"{self._seed.read_text()}{self.path}".encode()).hexdigest()[:16]
        return _short_temporary_directory() / f"nexus-{name}"

    def _private(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        return path


def write_private(path: Path, content: str) -> None:
    """Write `path` with mode 0600, whole or not at all, and durably."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _short_temporary_directory() -> Path:
    candidate = Path(tempfile.gettempdir()).resolve()
    needed = len(os.fsencode(candidate)) + len("/nexus-0123456789abcdef") + LONGEST_SOCKET_NAME
    return candidate if needed <= LONGEST_SOCKET_PATH else Path("/tmp")  # noqa: S108  # only a parent; the child is checked


def _own_directory(path: Path, mode: int) -> bool:
    try:
        path.mkdir(mode=mode)
        path.chmod(mode)
    except FileExistsError:
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == mode
    return True
