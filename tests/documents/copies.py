"""A reader's own copy of the project, with the files and edits that a page asks for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.documents.blocks import ROOT, Block

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", "*.egg-info", ".hypothesis")


def copy_for(blocks: Iterable[Block], folder: Path) -> Path:
    """The copy, edited as the `file=` blocks say. The environment is the one that there is."""
    copy = folder / "nexus"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    if (ROOT / ".venv").exists():
        (copy / ".venv").symlink_to(ROOT / ".venv")
    for block in blocks:
        name = block.value("file")
        if name is not None:
            path = copy / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(edited(path.read_text(), block.text) if block.language == "diff" else block.text)
    return copy


def edited(text: str, diff: str) -> str:
    """The text after the edits: each hunk, between lines of `@@`, is found by its lines that stay or go.

    Raises `ValueError` for one that is found nowhere or twice.
    """
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        after = "".join(line[1:] for line in lines if not line.startswith("-"))
        if text.count(before) != 1:
            raise ValueError(f"found {text.count(before)} times, not once:\n{before}")
        text = text.replace(before, after)
    return text
