"""Draws the rooms, who imports whom, and which process starts where: read from the code, `supervisord.conf` and `pyproject.toml`.

An arrow is an import that the code has; one that follows from two others is left out. `make lint` holds them to the contracts.
"""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

WIDTH, ROW, BOX, HIGH = 1120, 92, 150, 46
PAD = 24

SAYS = {
    "web": "the thin API", "cli": "the nexus command", "workers": "Celery, dispatcher, beat", "tasks": "what each kind does",
    "bus": "events, services", "jobs": "the durable engine", "tenancy": "databases, buckets, keys",
    "providers": "mail, models, payments", "models": "tables", "domain": "rules without I/O", "config": "settings, logs",
}  # fmt: skip

_STYLE = """<style>
  text { font: 14px system-ui, sans-serif; fill: #1f2937; }
  .name { font-weight: 600; } .says { font-size: 11px; fill: #4b5563; } .head { font-size: 12px; fill: #6b7280; }
  .room { fill: #eef2ff; stroke: #4f46e5; } .process { fill: #ecfdf5; stroke: #059669; } .ground { fill: #ffffff; }
  path { fill: none; stroke: #9ca3af; stroke-width: 1.3; } .starts { stroke: #059669; stroke-dasharray: 4 3; }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" style="fill:#9ca3af;stroke:none"/></marker></defs>
"""


def rooms(root: Path) -> list[str]:
    """The rooms, as the import contracts list them."""
    found: list[str] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """Which room imports which, anywhere in its code."""
    names = set(rooms(root))
    found: dict[str, set[str]] = {name: set() for name in names}
    for name in names:
        for path in (root / name).rglob("*.py"):
            found[name] |= (set(_imported(ast.parse(path.read_bytes()))) & names) - {name}
    return found


def processes(root: Path) -> dict[str, tuple[str, str]]:
    """Each process of `supervisord.conf`: the room that it starts in, and what of it runs there."""
    parser = configparser.RawConfigParser()
    parser.read(root / "supervisord.conf")
    found = {}
    for section in parser.sections():
        if section.startswith("program:"):
            command = parser.get(section, "command")
            module = re.search(r'(?:-m |-A |")((\w+)\.\w+)', command)
            queues = re.search(r"-Q (\S+)", command)
            if module is None:
                raise ValueError(f"{section}: no module of ours in {command!r}")
            served = f", {len(queues[1].split(','))} queues" if queues else ""
            found[section.partition(":")[2]] = (module[2], module[1] + served)
    return found


def drawing(root: Path) -> str:
    """The picture as SVG."""
    edges = reduced(imports(root))
    level = _levels(edges)
    rows = [
        sorted((name for name in level if level[name] == height), reverse=True)
        for height in range(max(level.values()), -1, -1)
    ]
    started = processes(root)
    top = 2 * PAD + 70
    place = {name: at for number, row in enumerate(rows) for name, at in _spread(row, top + ROW * (number + 0.6))}
    width = (WIDTH - 2 * PAD) / len(started) - 12
    process_at = dict(_spread(list(started), PAD + 20))
    height = int(top + ROW * (len(rows) + 0.4))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n',
        "<title>Processes, the rooms that they start in, and who imports whom</title>\n",
        _STYLE,
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>\n',
        f'<text class="head" x="{PAD}" y="{PAD}">processes (supervisord.conf) start in a room; rooms import downwards</text>\n',
    ]
    for name, (room, _) in started.items():
        parts.append(_arrow(process_at[name], place[room], "starts"))
    for name in sorted(edges):
        parts.extend(_arrow(place[name], place[other], "imports") for other in sorted(edges[name]))
    for name, (_, says) in started.items():
        parts.append(_box("process", name, says, process_at[name], width))
    parts.extend(_box("room", f"{name}/", SAYS.get(name, ""), at, BOX) for name, at in sorted(place.items()))
    return "".join(parts) + "</svg>\n"


def reduced(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same order with as few arrows as can be."""
    return {
        name: {other for other in others if not any(other in _below(edges, middle) for middle in others - {other})}
        for name, others in edges.items()
    }


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _below(edges: Mapping[str, set[str]], name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def _levels(edges: Mapping[str, set[str]]) -> dict[str, int]:
    """How far above the ground each room stands."""
    level: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in level:
            level[name] = 1 + max((of(other) for other in edges[name]), default=-1)
        return level[name]

    for name in edges:
        of(name)
    return level


def _spread(names: list[str], y: float) -> Iterator[tuple[str, tuple[float, float]]]:
    """Centres of boxes side by side over the whole width."""
    step = (WIDTH - 2 * PAD) / len(names)
    for number, name in enumerate(names):
        yield name, (PAD + step * (number + 0.5), y + HIGH / 2)


def _box(kind: str, name: str, says: str, at: tuple[float, float], width: float) -> str:
    x, y = at
    return (
        f'<rect class="{kind}" x="{x - width / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{width:.0f}" height="{HIGH}" rx="6"/>\n'
        f'<text class="name" x="{x:.0f}" y="{y - 3:.0f}" text-anchor="middle">{escape(name)}</text>\n'
        f'<text class="says" x="{x:.0f}" y="{y + 14:.0f}" text-anchor="middle">{escape(says[:34])}</text>\n'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    (x, y), (u, v) = (start[0], start[1] + HIGH / 2), (end[0], end[1] - HIGH / 2)
    bend = (v - y) / 2
    return (
        f'<path class="{kind}" d="M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {u:.0f} {v - bend:.0f} {u:.0f} {v:.0f}" '
        'marker-end="url(#tip)"/>\n'
    )
