"""What can be said of a block without running it: that its commands, requests, bodies and imports exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
from jsonschema import Draft202012Validator

from cli.main import nexus
from tests.documents.blocks import ROOT, Block

Document = dict[str, Any]
REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) +(/\S+)(?: +(.*))?", re.DOTALL)


def wrong_commands(block: Block) -> Iterator[str]:
    """Lines that are no `nexus` or `make` command of ours."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words or words[0] in {"git", "cd", "export"}:
            continue
        if words[0] == "make":
            known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
            yield from (f"make {word}" for word in words[1:] if "=" not in word and word not in known)
        elif words[0].removeprefix(".venv/bin/") == "nexus":
            yield from _wrong_nexus(words[1:])
        else:
            yield f"neither nexus nor make: {line}"


def _wrong_nexus(arguments: list[str]) -> Iterator[str]:
    command: click.Command = nexus
    context = click.Context(nexus, info_name="nexus")
    while isinstance(command, click.Group) and arguments:
        name = arguments.pop(0)
        inner = command.get_command(context, name)
        if inner is None:
            yield f"no command {context.command_path} {name}"
            return
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    try:
        command.make_context(context.info_name, arguments, parent=context.parent)
    except click.exceptions.Exit:
        return
    except click.ClickException as error:
        if not re.search(
            r"File '.*' does not exist", error.format_message()
        ):  # the reader's own, made by a line before
            yield f"{context.command_path} {' '.join(arguments)}: {error.format_message()}"


def unknown_command(line: str) -> Iterator[str]:
    """The command that a line in a sentence names, if there is none such. Options and arguments may be left open there."""
    command: click.Command = nexus
    for word in line.split()[1:]:
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z-]*", word):
            return
        inner = command.get_command(click.Context(command), word)
        if inner is None:
            yield line
            return
        command = inner


def wrong_requests(block: Block, document: Document) -> Iterator[str]:
    """Requests that are no operation of the API, or whose body does not fit. Indented lines continue a body."""
    text = _as_requests(block.text) if block.language == "bash" else block.text
    for request in re.split(r"\n(?=\S)", text.strip()):
        found = REQUEST.fullmatch(request.strip())
        if found is None:
            yield f"no request: {request}"
            continue
        method, path, body = found.groups()
        operation = _operation(document, method, path.partition("?")[0])
        if operation is None:
            yield f"no operation: {method} {path}"
        elif body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            yield from _faults(f"{method} {path}", body, schema, document)


def _as_requests(text: str) -> str:
    """`curl` commands as method, path and body."""
    lines = []
    for line in text.replace("\\\n", " ").strip().split("\ncurl "):
        words = shlex.split(line)
        options = {words[place]: words[place + 1] for place in range(len(words) - 1) if words[place] in {"-X", "-d"}}
        path = next(word for word in words if "$API/" in word).partition("$API")[2]
        body = " ".join(options.get("-d", "").split())
        lines.append(f"{options.get('-X', 'POST' if body else 'GET')} /api/v1{path} {body}".strip())
    return "\n".join(lines)


def _operation(document: Document, method: str, path: str) -> dict[str, Any] | None:
    given = path.strip("/").split("/")
    for known, item in document["paths"].items():
        parts = known.strip("/").split("/")
        if len(parts) == len(given) and all(
            part.startswith("{") or part == is_ for part, is_ in zip(parts, given, strict=True)
        ):
            operation: dict[str, Any] | None = item.get(method.lower())
            if operation is not None:
                return operation
    return None


def wrong_json(block: Block, document: Document) -> Iterator[str]:
    """What does not fit the schema that the block names."""
    name = block.value("schema")
    if name not in document["components"]["schemas"]:
        yield f"no schema {name}"
    else:
        yield from _faults(block.name, block.text, {"$ref": f"#/components/schemas/{name}"}, document)


def _faults(where: str, text: str, schema: Document, document: Document) -> Iterator[str]:
    validator = Draft202012Validator({**schema, "components": document["components"]})
    try:
        value = json.loads(text.replace('": …', '": {}'))
    except ValueError as error:
        yield f"{where}: {error}"
        return
    for fault in validator.iter_errors(value):
        if "…" not in str(fault.instance):  # something that the reader fills in
            yield f"{where}: {fault.json_path}: {fault.message}"


def wrong_imports(block: Block) -> Iterator[str]:
    """Imports that do not exist. Raises `SyntaxError` for what is no Python."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = import_module(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names if not hasattr(module, alias.name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                import_module(alias.name)
