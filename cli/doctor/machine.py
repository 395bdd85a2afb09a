"""The machine: interpreter, disk, the home's directory."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.findings import Finding, bad, good, odd

LEAST_BYTES, LITTLE_BYTES = 256 * 2**20, 2 * 2**30
"""Free space under which PostgreSQL will soon stop, and under which it is time to look."""


def look(home: Path) -> Iterator[Finding]:
    """Python, the disk under `home`, and who may read it."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield (
        good("python", version)
        if sys.version_info >= (3, 11)
        else bad("python", f"{version} is too old", "install Python 3.11 or newer and run `make clean demo PYTHON=…`")
    )
    home = home.expanduser().resolve()
    yield _disk(home)
    if home.exists():
        yield _privacy(home)


def _disk(home: Path) -> Finding:
    place = next(each for each in (home, *home.parents) if each.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
    if free < LEAST_BYTES:
        return bad(
            "disk", text, "free space now: PostgreSQL stops when it cannot write, and nothing is taken until it can"
        )
    if free < LITTLE_BYTES:
        return odd("disk", text, "make room; `docs/operating.md` says what is removed by itself")
    return good("disk", text)


def _privacy(home: Path) -> Finding:
    if not home.is_dir():
        return bad("home", f"{home} is no directory", "set NEXUS_HOME to a directory that may be made or written")
    if not os.access(home, os.W_OK | os.X_OK):
        return bad("home", f"{home} may not be written by this account", f"run as its owner, or: chown -R $USER {home}")
    secrets = home / "secrets"
    if secrets.is_dir() and secrets.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return bad(
            "home", f"{secrets} is open to others", f"chmod -R go-rwx {secrets}; then think of changing its keys"
        )
    return good("home", str(home))
