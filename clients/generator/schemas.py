"""A TypedDict for each schema."""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from generator.text import HEAD, Schema, docstring, quoted, type_of


def models(document: Schema) -> str:
    """A TypedDict for each schema. Times are RFC 3339 text and ids text, as they travel."""
    parts = [
        HEAD.format(title="The dictionaries of the API."),
        "from typing import Any, Literal, NotRequired, TypedDict\n",
    ]
    for name, schema in sorted(document["components"]["schemas"].items()):
        required = set(schema.get("required", ()))
        fields = {
            key: type_of(field) if key in required else f"NotRequired[{type_of(field)}]"
            for key, field in schema.get("properties", {}).items()
        }
        parts.append(_model(name, schema, fields))
    return "".join(parts)


def _model(name: str, schema: Schema, fields: Mapping[str, str]) -> str:
    if any(not key.isidentifier() or keyword.iskeyword(key) for key in fields):
        rows = "".join(f"        {quoted(key)}: {quoted(kind)},\n" for key, kind in fields.items())
        return f"\n\n{name} = TypedDict(\n    {quoted(name)},\n    {{\n{rows}    }},\n)\n"
    lines = [f"\n\nclass {name}(TypedDict):\n"]
    if "description" in schema:
        lines.append(docstring(schema["description"]))
    for key, kind in fields.items():
        lines.append(f"    {key}: {kind}\n")
        if text := schema["properties"][key].get("description"):
            lines.append(docstring(text))
    return "".join(lines) + ("" if fields else "    pass\n")
