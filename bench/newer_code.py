"""A version of the code that knows one more tenant revision than ours, for migrations over a fleet in tests and benchmarks.

`python -m bench.newer_code FOLDER MODULE ARGUMENT…` runs a program of the platform as that version: FOLDER holds the revision.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config

import migrations
import tenancy.migrations as runner

OURS = runner.config

_REVISION = '''"""One column more."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade():
    {body}
'''

ADD_COLUMN = 'op.execute("ALTER TABLE documents ADD COLUMN colour text")'


def write(folder: Path, revision: str, body: str = ADD_COLUMN) -> Path:
    """A revision after our newest; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    before = runner.head("tenant")
    (folder / f"{revision}.py").write_text(_REVISION.format(revision=revision, before=before, body=body))
    return folder


def become(folder: Path) -> None:
    """Know the tenant revisions in `folder` from now on."""

    def config(history: runner.History) -> Config:
        configuration = OURS(history)
        if history == "tenant":
            ours = Path(migrations.__file__).parent / "tenant" / "versions"
            configuration.set_main_option("version_locations", f"{ours}:{folder}")
        return configuration

    runner.config = config
    runner.revisions.cache_clear()


def worker_command(folder: Path, name: str) -> tuple[str, ...]:
    """The command line of that version's worker for the queue of migrations."""
    return (sys.executable, "-m", "bench.newer_code", str(folder), "celery", "-A", "workers.app", "worker", "--pool=prefork",
            "--concurrency=1", "-Q", "provisioning", "-n", f"{name}@%h", "-E", "--without-gossip", "--without-mingle")  # fmt: skip


@contextmanager
def newer(folder: Path) -> Iterator[None]:
    """Be that version for the length of the block."""
    become(folder)
    try:
        yield
    finally:
        runner.config = OURS
        runner.revisions.cache_clear()


if __name__ == "__main__":
    become(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
