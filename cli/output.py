"""What commands print: tables for people, tab-separated lines for pipes, JSON for scripts.

Text from the server is never trusted with the terminal: control characters are shown as a replacement character.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

MARKS = {"succeeded": "green", "active": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows under headings: drawn on a terminal, else tab-separated."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            click.echo("\t".join(clean(cell).replace("\n", " ") for cell in row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(clean(cell), style=MARKS.get(str(cell), "")) for cell in row))
    Console().print(table)


def print_details(values: Mapping[str, Any]) -> None:
    """One thing, a line for each of its values; nested values as JSON."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{name.ljust(width)}  {clean('' if value is None else text)}".rstrip())


def note(text: str) -> None:
    """A remark beside the result, which scripts that read the output do not see."""
    click.echo(clean(text), err=True)


def clean(value: Any) -> str:
    """The value as text that cannot steer a terminal. Line breaks stay, tabs become spaces."""
    text = "" if value is None else str(value)
    return "".join(
        " " if character == "\t" else character if character.isprintable() or character == "\n" else "�"
        for character in text
    )
