"""Writes the generated part of the Python client from the API's own description: `make reference`.

Run as `python clients/generate.py [folder]`. A method for each operation, under the part of the API that its path names, and
a `TypedDict` for each schema. What is the same for every API (repeating, waiting, pages, streams) is written by hand beside it.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "clients" / "python" / "nexus_client" / "api"
HEAD = '"""{title} Made from the API\'s description by `make reference`; edits here are lost."""\n\nfrom __future__ import annotations\n\n'
INBOUND = frozenset({"webhooks", "notification_callbacks"})
"""Tags of routes that vendors and mail programs call."""

_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
Schema = Mapping[str, Any]


def type_of(schema: Schema, prefix: str = "") -> str:
    """The annotation for a JSON schema; `prefix` stands before the names of models."""
    if "$ref" in schema:
        return prefix + schema["$ref"].rpartition("/")[2]
    if "enum" in schema:
        listed = [value for value in schema["enum"] if value is not None]
        return "Literal[" + ", ".join(map(_quoted, listed)) + "]" + (" | None" if None in schema["enum"] else "")
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
        rows = "".join(f"        {_quoted(key)}: {_quoted(kind)},\n" for key, kind in fields.items())
        return f"\n\n{name} = TypedDict(\n    {_quoted(name)},\n    {{\n{rows}    }},\n)\n"
    lines = [f"\n\nclass {name}(TypedDict):\n"]
    if "description" in schema:
        lines.append(_docstring(schema["description"]))
    for key, kind in fields.items():
        lines.append(f"    {key}: {kind}\n")
        if text := schema["properties"][key].get("description"):
            lines.append(_docstring(text))
    return "".join(lines) + ("" if fields else "    pass\n")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a method takes: as Python names it, as the wire does, and its annotation."""

    name: str
    wire: str
    kind: str
    place: str
    required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One route and method, ready to be written."""

    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    shared: frozenset[str]
    body: str | None
    needs_body: bool
    returns: str
    streams: bool
    item: str | None

    def render(self) -> str:
        """The method, and for a list the iterator over all pages."""
        text = self._stream() if self.streams else self._method()
        return text if self.item is None else text + self._iterator()

    def _method(self) -> str:
        sent = [f'"{self.method.upper()}"', self._address()]
        if query := self._of("query"):
            sent.append("query={" + ", ".join(f"{_quoted(each.wire)}: {each.name}" for each in query) + "}")
        if self.body is not None:
            sent.append("content=body" if self.body == "bytes" else "body=body")
        if "IfMatch" in self.shared:
            sent.append("if_match=if_match")
        if "IdempotencyKey" in self.shared:
            sent.append("keyed=True, idempotency_key=idempotency_key")
        call = f"self._transport.send({', '.join(sent)})"
        act = (
            f"        {call}\n"
            if self.returns == "None"
            else f"        answer: {self.returns} = {call}\n        return answer\n"
        )
        return self._head(self.returns) + act

    def _stream(self) -> str:
        until = "completion_ended" if "completion" in self.path else "job_finished"
        return self._head("Iterator[Event]") + f"        return self._transport.stream({self._address()}, {until})\n"

    def _iterator(self) -> str:
        kept = [each for each in self._of("query") if each.wire != "cursor"]
        names = [each.name for each in self._of("path")] + [f"{each.name}={each.name}" for each in kept]
        call = f"self.{self.name}({', '.join([*names, 'cursor=cursor'])})"
        arguments = self._arguments(without="cursor")
        return (
            f"\n    def iterate_{self.name.partition('_')[2]}({arguments}) -> Iterator[{self.item}]:\n"
            f'        """Every item of `{self.name}`, page after page."""\n'
            f"        return items(lambda cursor: {call})\n"
        )

    def _head(self, returns: str) -> str:
        return f"\n    def {self.name}({self._arguments()}) -> {returns}:\n" + _docstring(self.summary, 8)

    def _arguments(self, without: str = "") -> str:
        first = ["self", *(f"{each.name}: str" for each in self._of("path"))]
        if self.body is not None:
            first.append(f"body: {self.body}" + ("" if self.needs_body else " | None = None"))
        if len(first) > 1:
            first.append("/")
        keywords = [
            f"{each.name}: {each.kind}" + ("" if each.required else " | None = None")
            for each in sorted(self._of("query"), key=lambda each: not each.required)
            if each.wire != without
        ]
        if "IfMatch" in self.shared:
            keywords.append("if_match: Mapping[str, Any] | str")
        if "IdempotencyKey" in self.shared:
            keywords.append("idempotency_key: str | None = None")
        return ", ".join([*first, "*", *keywords] if keywords else first)

    def _of(self, place: str) -> list[Parameter]:
        return [each for each in self.parameters if each.place == place]

    def _address(self) -> str:
        if not self._of("path"):
            return _quoted(self.path)
        return 'f"' + re.sub(r"{(\w+)}", lambda found: "{segment(" + _name(found[1]) + ")}", self.path) + '"'


def operations(document: Schema) -> dict[str, list[Operation]]:
    """Every operation, by the part of the API that its path names."""
    parts: dict[str, list[Operation]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and not INBOUND & set(operation.get("tags", ())):
                parts[_part(path)].append(_operation(document, path, method, operation, item.get("parameters", [])))
    return dict(sorted(parts.items()))


def _part(path: str) -> str:
    return re.sub(r"\W", "_", path.removeprefix("/api/v1").strip("/.").partition("/")[0])


def _operation(document: Schema, path: str, method: str, operation: Schema, common: list[Any]) -> Operation:
    listed = [*common, *operation.get("parameters", [])]
    shared = frozenset(each["$ref"].rpartition("/")[2] for each in listed if "$ref" in each)
    own = [each for each in listed if "$ref" not in each]
    own += [document["components"]["parameters"]["Wait"]] if "Wait" in shared else []
    answers = {
        kind: content.get("schema", {})
        for status, response in operation["responses"].items() if status < "400"
        for kind, content in response.get("content", {}).items()
    }  # fmt: skip
    empty = all(status == "204" for status in operation["responses"] if status < "400")
    answer = answers.get("application/json")
    page = (
        document["components"]["schemas"]
        .get((answer or {}).get("$ref", "").rpartition("/")[2], {})
        .get("properties", {})
    )
    return Operation(
        name=operation["operationId"],
        method=method,
        path=path,
        summary="\n\n".join(filter(None, (operation["summary"], operation.get("description")))),
        parameters=tuple(
            Parameter(
                _name(each["name"]), each["name"], type_of(each["schema"]), each["in"], each.get("required", False)
            )
            for each in own
            if each["in"] in {"path", "query"}
        ),
        shared=shared,
        body=_body(operation),
        needs_body=operation.get("requestBody", {}).get("required", False),
        returns="None" if empty else "bytes" if answer is None else type_of(answer, "models."),
        streams="text/event-stream" in answers and answer is None,
        item=type_of(page["items"]["items"], "models.")
        if "next_cursor" in page and any(each["name"] == "cursor" for each in own)
        else None,
    )


def _body(operation: Schema) -> str | None:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return type_of(content["application/json"].get("schema", {}), "models.")
    return "bytes" if content else None


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
        + f'\n\nclass {_class(part)}:\n    """The operations whose path begins with `{part}`."""\n\n'
        + "    def __init__(self, transport: Transport):\n        self._transport = transport\n"
        + body
    )


def resources(parts: list[str]) -> str:
    """The class that holds all parts."""
    imports = "".join(f"from nexus_client.api.{part} import {_class(part)}\n" for part in parts)
    rows = "".join(f"        self.{part} = {_class(part)}(transport)\n" for part in parts)
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


def _class(part: str) -> str:
    return "".join(word.capitalize() for word in part.split("_"))


def _name(wire: str) -> str:
    name = re.sub(r"\W+", "_", wire).strip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) and '"' not in value and "\\" not in value else repr(value)


def _docstring(text: str, width: int = 4) -> str:
    safe = text.strip().replace("\\", "\\\\").replace('"""', "'''")
    if safe.endswith('"'):
        safe += " "
    paragraphs = "\n".join(line.rstrip() for line in safe.splitlines())
    whole = f'"""{paragraphs}"""' if "\n" not in paragraphs else f'"""{paragraphs}\n"""'
    return indent(whole, " " * width) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from web.app import description

    write(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET, description())
