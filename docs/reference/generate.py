"""Writes the reference from the code: `make reference`. A test fails when a page is not what this would write.

Run as `python docs/reference/generate.py [folder]`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import architecture

ROOT = Path(__file__).resolve().parents[2]
HEAD = "Made from the code by `make reference`; edits here are lost.\n\n"


def settings() -> str:
    """Every variable with its default, in the order and with the words of `.env.example`."""
    from config.settings import Settings

    fields = {field.alias: field for field in Settings.model_fields.values()}
    parts = [
        "# Settings\n",
        HEAD
        + "Read from the environment and from `.env`, once, by every process. What is wrong is told in one line each, and nothing starts.\n",
    ]
    for title, lines in _sections((ROOT / ".env.example").read_text()):
        rows = [
            (f"`{name}`", _default(fields[name].default), comment)
            for name, comment in (_variable(line) for line in lines)
        ]
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n" + _table(("variable", "unset means", "what it is"), rows))
    return "\n".join(parts)


def kinds() -> str:
    """Every kind of job: where it runs, who may submit it, how often and how long it is tried, what it takes."""
    from jobs.kinds import KINDS

    rows = [
        (f"`{each.name}`", f"`{each.queue}`", f"`{each.permission}`" if each.permission else "the platform", each.retry.max_attempts,
         _span(each.deadline), _span(each.retention))
        for each in sorted(KINDS.values(), key=lambda each: each.name)
    ]  # fmt: skip
    text = (
        "# Kinds of job\n\n" + HEAD + _table(("kind", "queue", "permission", "attempts", "each at most", "kept"), rows)
    )
    for each in sorted(KINDS.values(), key=lambda each: each.name):
        schema = each.payload()
        text += f"\n## {each.name}\n\n{_first(each.payload)}\n"
        if schema.fields:
            text += "\n" + _table(
                ("field", "type", "required"),
                [
                    (f"`{field.data_key or name}`", type(field).__name__.lower(), "yes" if field.required else "")
                    for name, field in schema.fields.items()
                ],
            )
    return text


def errors() -> str:
    """Every code that an answer can carry, and every code that a job can fail with."""
    import job_errors

    from web.errors import CODES

    rows = [(f"`{code}`", each.status, each.title) for code, each in CODES.items()]
    failures = [
        (f"`{code}`", " or ".join(sorted(each.then)), each.says)
        for code, each in sorted(job_errors.codes(ROOT).items())
    ]
    return (
        "# Error codes\n\n"
        + HEAD
        + "Codes do not change.\n\n## Of answers\n\n"
        + "Answers that are errors are `application/problem+json` (RFC 9457) with one of these as `code`.\n\n"
        + _table(("code", "status", "title"), rows)
        + "\n## Of jobs\n\n"
        + "A job that failed, or is retrying, has one of these as `error.code`; the series `nexus_failed_attempts_total` and"
        " `nexus_provider_calls_total` count by them. `retryable` says what becomes of the job.\n\n"
        + _table(("code", "the job is", "as in"), failures)
    )


def events() -> str:
    """Every event that a tenant can subscribe to."""
    from domain.events import EVENTS

    return (
        "# Events\n\n"
        + HEAD
        + _table(("event", "when"), [(f"`{name}`", text) for name, text in sorted(EVENTS.items())])
    )


def metrics() -> str:
    """Every series of `/metrics`, by who counts it."""
    from config.telemetry import measures

    groups = (
        ("Of the platform, as its database shows it", measures.READ),
        ("Of all processes, added up", measures.MEASURES),
        ("Of the web process that is asked", measures.REQUESTS),
        ("Of each tenant, only with `NEXUS_METRICS=tenants`", measures.BY_TENANT),
    )
    text = (
        "# Metrics\n\n"
        + HEAD
        + "Several web instances tell the same of the first two groups: take `max` over them. Those of requests are each instance's own: take `sum`.\n"
    )
    for title, group in groups:
        rows = [
            (f"`{each.series}`", each.kind, ", ".join(f"`{label}`" for label in each.labels), each.text)
            for each in sorted(group.values(), key=lambda each: each.name)
        ]
        text += f"\n## {title}\n\n" + _table(("series", "type", "labels", "what it tells"), rows)
    return text


def commands() -> str:
    """The command line, as `--help` tells it."""
    import click

    from cli.main import nexus

    text = "# The nexus command\n\n" + HEAD
    for path, command in _walk(click, nexus, ("nexus",)):
        context = click.Context(command, info_name=" ".join(path), terminal_width=100, max_content_width=100)
        text += f"## {' '.join(path)}\n\n```\n{command.get_help(context).rstrip()}\n```\n\n"
    return text.rstrip() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings": settings, "kinds": kinds, "errors": errors, "events": events, "metrics": metrics, "commands": commands,
}  # fmt: skip


def write(folder: Path) -> None:
    """Write every page and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / f"{name}.md").write_text(page())
    (folder / "architecture.svg").write_text(architecture.drawing(ROOT))
    rows = [(f"[{name}]({name}.md)", (page.__doc__ or "").strip()) for name, page in PAGES.items()]
    index = (
        "# Reference\n\n"
        + HEAD
        + _table(("page", "what it lists"), rows)
        + "\n![Processes, rooms and imports](architecture.svg)\n\nThe API's own reference is at `/docs` of every platform, and `/api/v1/openapi.json`.\n"
    )
    (folder / "README.md").write_text(index)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    title = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("# --- "):
            if lines:
                yield title, lines
            title, lines = line.removeprefix("# --- "), []
        elif re.match(r"#?[A-Z][A-Z0-9_]+=", line):
            lines.append(line)
    yield title, lines


def _variable(line: str) -> tuple[str, str]:
    name, _, rest = line.lstrip("#").partition("=")
    _, _, comment = rest.partition(" #")
    return name, comment.strip()


def _default(value: Any) -> str:
    return "" if value is None or value in ("", ()) or "Pydantic" in type(value).__name__ else f"`{value}`"


def _span(span: timedelta) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if span.total_seconds() >= length and span.total_seconds() % length == 0:
            count = int(span.total_seconds() // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{span.total_seconds():g} s"


def _first(of: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((of.__doc__ or "").strip().split("\n\n")[0].split())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"

    return line(head) + "|" + "---|" * len(head) + "\n" + "".join(line(row) for row in rows)


def _walk(click: Any, command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from _walk(click, inner, (*path, name))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    import_module("tasks").load()
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
