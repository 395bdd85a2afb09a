"""The README's first real call, line by line as it is printed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli.processes import PlatformProcess

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("platform")]


def walk_through() -> str:
    """The shell lines that the README marks as its walk-through."""
    found = re.search(r"<!-- walk-through.*?-->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_walk_through_works_as_printed(platform: PlatformProcess) -> None:
    script = walk_through().replace("http://127.0.0.1:8000", platform.base_url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout
    assert '"status": "sent"' in answers or '"status":"sent"' in answers
    assert "sandbox" in answers
    assert re.search(r"(«|\\u00ab)patterns(»|\\u00bb)", answers), answers
    assert "event: job" in answers
    assert "succeeded" in answers
