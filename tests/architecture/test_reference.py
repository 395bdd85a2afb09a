"""The pages in docs/reference/ are what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FOLDER / "generate.py"), str(tmp_path)], check=True, cwd=FOLDER.parents[1])
    written = {path.name: path.read_text() for path in tmp_path.glob("*.md")}
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert sorted(written) == sorted(kept)
    assert [name for name in written if written[name] != kept[name]] == [], "run `make reference`"
