"""Names, literals, docstrings and annotations, as Python writes them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from textwrap import indent
from typing import Any

HEAD = '"""{title} Made from the API\'s description by `make reference`; edits here are lost."""\n\nfrom __future__ import annotations\n\n'
Schema = Mapping[str, Any]

_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def type_of(schema: Schema, prefix: str = "") -> str:
    """The annotation for a JSON schema; `prefix` stands before the names of models."""
    if "$ref" in schema:
        return prefix + str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        listed = [value for value in schema["enum"] if value is not None]
        return "Literal[" + ", ".join(map(quoted, listed)) + "]" + (" | None" if None in schema["enum"] else "")
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(type_of(each, prefix) for each in schema[several]))
    types = schema.get("type")
    if isinstance(types, list):
        return " | ".join(dict.fromkeys(type_of({**schema, "type": each}, prefix) for each in types))
    if types == "array":
        return f"list[{type_of(schema.get('items', {}), prefix)}]"
    if types == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {type_of(values, prefix) if isinstance(values, dict) else 'Any'}]"
    return _SIMPLE.get(types or "", "Any")


def class_name(part: str) -> str:
    """The class of a part of the API."""
    return "".join(word.capitalize() for word in part.split("_"))


def argument_name(wire: str) -> str:
    """How Python names what the wire calls so."""
    name = re.sub(r"\W+", "_", wire).strip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


def quoted(value: Any) -> str:
    """A literal."""
    return f'"{value}"' if isinstance(value, str) and '"' not in value and "\\" not in value else repr(value)


def docstring(text: str, width: int = 4) -> str:
    """A docstring, indented."""
    safe = text.strip().replace("\\", "\\\\").replace('"""', "'''")
    if safe.endswith('"'):
        safe += " "
    paragraphs = "\n".join(line.rstrip() for line in safe.splitlines())
    whole = f'"""{paragraphs}"""' if "\n" not in paragraphs else f'"""{paragraphs}\n"""'
    return indent(whole, " " * width) + "\n"
