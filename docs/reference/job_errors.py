"""The codes of jobs' errors, found where they are raised: a code is a word at its `raise`, not a class of its own."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from domain import errors

ROOMS = ("domain", "providers", "tenancy", "jobs", "bus", "tasks", "workers")
RAISED = {
    name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.JobError)
}
WITHOUT_HANDLER = "_without_handler"
"""What `jobs.outcomes` writes for an attempt whose handler could say nothing: it is tried again."""

AGAIN, NOT_AGAIN, WAITS = "tried again", "final", "waits, at no attempt"


@dataclass(slots=True)
class Told:
    """What is known of a code: what becomes of the job, and one of the sentences that come with it."""

    then: set[str] = field(default_factory=set)
    says: str = ""


def codes(root: Path) -> Mapping[str, Told]:
    """Every code by name."""
    found: defaultdict[str, Told] = defaultdict(Told)
    found[errors.NexusError.code] = Told(
        {AGAIN}, f"{errors.NexusError.title}."
    )  # what is none of these is a bug of ours
    for each in RAISED.values():
        if each is not errors.JobError:
            found[each.code] = Told({_then(each)}, f"{each.title}.")
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            tree = ast.parse(path.read_text())
            constants = _constants(tree)
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                for code, then, says in _raised(call, constants):
                    found[code].then.add(then)
                    found[code].says = found[code].says or says
    return found


def _raised(call: ast.Call, constants: Mapping[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "code" not in given or (name not in RAISED and name != WITHOUT_HANDLER):
        return
    then = AGAIN if name == WITHOUT_HANDLER else _then(RAISED[name])
    says = next((text for text in map(_sentence, [*call.args[:1], *filter(None, [given.get("detail")])]) if text), "")
    for code in _words(given["code"], constants):
        yield code, then, says


def _then(each: type[errors.JobError]) -> str:
    if issubclass(each, errors.NotNow):
        return WAITS
    return AGAIN if each.retryable else NOT_AGAIN


def _constants(tree: ast.Module) -> dict[str, list[str]]:
    """Names of the module that stand for a word, or for a table whose values are words."""
    named = {}
    for node in tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)):
            values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
            named[target.id] = [
                each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
    return named


def _words(value: ast.expr, constants: Mapping[str, list[str]]) -> set[str]:
    if isinstance(value, ast.Constant):
        return {value.value} if isinstance(value.value, str) else set()
    if isinstance(value, ast.Name):
        return set(constants.get(value.id, ()))
    if isinstance(value, ast.IfExp):
        return _words(value.body, constants) | _words(value.orelse, constants)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "get":
        return _words(value.func.value, constants) | {
            word for each in value.args[1:] for word in _words(each, constants)
        }
    return set()


def _sentence(value: ast.expr) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in value.values)
    return ""
