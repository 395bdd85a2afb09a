"""Writes the page with its pictures, and beside them the figures that they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.page import page
from bench.report import console
from bench.summary import rows

PAGE = Path("docs/benchmarks.md")
FOLDER = Path("docs/benchmarks")
FIGURES = FOLDER / "figures.json"


def publish(source: Path) -> None:
    """From the figures of a whole run. Raises `ClickException` if there are none or a part is missing."""
    from bench.pictures import draw

    if not source.exists():
        raise click.ClickException(f"There is no {source}; `make bench` writes it.")
    figures = json.loads(source.read_text())
    missing = [row.what for row in rows(figures) if row.met is None]
    if missing:
        raise click.ClickException(f"{source} is not of a whole run; missing: {'; '.join(missing)}. Run `make bench`.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    draw(figures, FOLDER)
    PAGE.write_text(page(figures))
    console.print(f"written: {PAGE}, {FOLDER}")
