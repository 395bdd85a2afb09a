"""The pages and the picture in docs/reference/, and the generated client, are what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FOLDER / "generate.py"), str(tmp_path)], check=True, cwd=FOLDER.parents[1])
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in FOLDER.iterdir() if path.suffix in {".md", ".svg"}}
    assert sorted(written) == sorted(kept)
    assert [name for name in written if written[name] != kept[name]] == [], "run `make reference`"


def test_the_client_is_what_the_api_says(tmp_path: Path) -> None:
    root = FOLDER.parents[1]
    subprocess.run([sys.executable, str(root / "clients" / "generate.py"), str(tmp_path)], check=True, cwd=root)
    written = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    kept = {path.name: path.read_text() for path in (root / "clients/python/nexus_client/api").glob("*.py")}
    assert sorted(written) == sorted(kept)
    assert [name for name in written if written[name] != kept[name]] == [], "run `make reference`"
