"""The published page says what was measured, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.page import page

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "benchmarks"


@pytest.fixture
def figures() -> dict[str, Any]:
    """Of the run that the page was made from."""
    read: dict[str, Any] = json.loads((FOLDER / "figures.json").read_text())
    return read


def test_the_page_is_what_its_figures_give(figures: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(figures), "run: python -m bench publish"


def test_the_page_changes_with_the_figures(figures: dict[str, Any]) -> None:
    figures["recovery"]["seconds"] = [19.9]

    assert "19.9 s" in page(figures)


def test_every_picture_of_the_page_is_there(figures: dict[str, Any]) -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page(figures))

    assert len(pictures) == 3
    for name in pictures:
        assert "<svg" in (ROOT / "docs" / name).read_text()


def test_a_part_that_was_not_measured_is_left_out(figures: dict[str, Any]) -> None:
    del figures["waiters"]

    assert "## Waiting clients" not in page(figures)
    assert "not measured" in page(figures)
