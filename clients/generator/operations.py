"""A method for each operation, under the part of the API that its path names."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from generator.text import Schema, argument_name, docstring, quoted, type_of

INBOUND = frozenset({"webhooks", "notification_callbacks"})
"""Tags of routes that vendors and mail programs call."""


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
            sent.append("query={" + ", ".join(f"{quoted(each.wire)}: {each.name}" for each in query) + "}")
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
        return f"\n    def {self.name}({self._arguments()}) -> {returns}:\n" + docstring(self.summary, 8)

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
            return quoted(self.path)
        return 'f"' + re.sub(r"{(\w+)}", lambda found: "{segment(" + argument_name(found[1]) + ")}", self.path) + '"'


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
                argument_name(each["name"]),
                each["name"],
                type_of(each["schema"]),
                each["in"],
                each.get("required", False),
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
        if {"items", "next_cursor"} <= set(page) and any(each["name"] == "cursor" for each in own)
        else None,
    )


def _body(operation: Schema) -> str | None:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return type_of(content["application/json"].get("schema", {}), "models.")
    return "bytes" if content else None
