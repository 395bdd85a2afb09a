"""Runs a page's blocks as a reader would: one shell for the page, against one platform, in a folder with its `var/`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.documents.blocks import ROOT, Block

LONGEST_SECONDS = 500
"""What a page may take on a machine that is busy with other things; alone, it is a few seconds."""

MARK = "\x1eblock "
_PROBLEM = re.compile(r'"type":\s*"/errors/([a-z_]+)"')
PRELUDE = """
set -euo pipefail
nexus() { "$PYTHON" -m cli "$@"; }
field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
export -f nexus field
"""
"""What a page may use without saying so: see docs/getting-started.md, where a reader makes the same."""


def outputs(
    blocks: Sequence[Block],
    folder: Path,
    variables: Mapping[str, str],
    addresses: Mapping[str, str],
    project: Path = ROOT,
) -> dict[int, str]:
    """Run the `run` blocks in order and give what each printed, by its line. Raises `AssertionError` if one fails."""
    script = [PRELUDE]
    for block in blocks:
        if not block.has("run"):
            continue
        text = _with(block.text, addresses)
        if block.language == "python":
            (folder / f"block_{block.line}.py").write_text(text)
            text = f'"$PYTHON" block_{block.line}.py\n'
        script.append(f"printf '{MARK}%s\\n' {block.line}\n{text}")
    done = subprocess.run(
        ["bash", "-c", "".join(script)],
        capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False, cwd=folder,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{project}:{project / 'clients/python'}",
            **variables,
        },
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    _, *parts = done.stdout.split(MARK)
    return {int(part.partition("\n")[0]): part.partition("\n")[2] for part in parts}


def missing(expected: str, printed: str) -> list[str]:
    """Lines that were not printed, or not in this order. `…` stands for anything; how they are spaced does not count."""
    rest = ["".join(line.split()) for line in printed.splitlines()]
    absent = []
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, "".join(line.split()).split("…"))))
        place = next((number for number, found in enumerate(rest) if pattern.fullmatch(found)), None)
        if place is None:
            absent.append(line)
        else:
            rest = rest[place + 1 :]
    return absent


def problems(printed: str) -> list[str]:
    """The codes of the problems that the API answered with."""
    return _PROBLEM.findall(printed)


def _with(text: str, addresses: Mapping[str, str]) -> str:
    for printed, real in addresses.items():
        text = text.replace(printed, real)
    return text
