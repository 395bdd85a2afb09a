"""A directory for a platform that lives only for one run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A fresh `NEXUS_HOME`, removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="nexus-bench-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
