"""The files: one for each part of the API, one for its dictionaries, one that holds the parts together."""

from __future__ import annotations

import re
from pathlib import Path

from generator.operations import Operation, operations
from generator.schemas import models
from generator.text import HEAD, Schema, class_name


def resource(part: str, found: list[Operation]) -> str:
    """The module of one part of the API."""
    body = "".join(each.render() for each in found)
    wants = {
        "from collections.abc import {}": [name for name in ("Iterator", "Mapping") if f"{name}[" in body],
        "from typing import {}": [name for name in ("Any", "Literal") if re.search(rf"\b{name}\b", body)],
    }
    ours = {
        "from nexus_client.api import {}": ["models"] if "models." in body else [],
        "from nexus_client.pages import {}": ["items"] if "items(" in body else [],
        "from nexus_client.streams import {}": [
            each for each in ("Event", "completion_ended", "job_finished") if each in body
        ],
        "from nexus_client.transport import {}": ["Transport", *(["segment"] if "segment(" in body else [])],
    }
    blocks = (
        "".join(line.format(", ".join(names)) + "\n" for line, names in block.items() if names)
        for block in (wants, ours)
    )
    return (
        HEAD.format(title=f"The API's `{part}`.")
        + "\n".join(filter(None, blocks))
        + f'\n\nclass {class_name(part)}:\n    """The operations whose path begins with `{part}`."""\n\n'
        + "    def __init__(self, transport: Transport):\n        self._transport = transport\n"
        + body
    )


def resources(parts: list[str]) -> str:
    """The class that holds all parts."""
    imports = "".join(f"from nexus_client.api.{part} import {class_name(part)}\n" for part in parts)
    rows = "".join(f"        self.{part} = {class_name(part)}(transport)\n" for part in parts)
    return (
        HEAD.format(title="All parts of the API.")
        + imports
        + "from nexus_client.transport import Transport\n\n\nclass Resources:\n"
        + '    """An attribute for each part of the API."""\n\n'
        + "    def __init__(self, transport: Transport):\n        self.transport = transport\n"
        + rows
    )


def files(document: Schema) -> dict[str, str]:
    """Every generated file by its name."""
    parts = operations(document)
    return {
        "__init__.py": HEAD.format(title="What is generated.").partition("\n")[0] + "\n",
        "models.py": models(document),
        "resources.py": resources(list(parts)),
        **{f"{part}.py": resource(part, found) for part, found in parts.items()},
    }


def write(folder: Path, document: Schema) -> None:
    """Write all, and remove what is no longer generated."""
    folder.mkdir(parents=True, exist_ok=True)
    made = files(document)
    for path in folder.glob("*.py"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)
