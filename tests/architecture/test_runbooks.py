"""Every command that the operators' pages name exists, with every option that they give it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.main import nexus

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))
SPAN = re.compile(r"`(nexus [^`]+)`")
LINE = re.compile(r"^(?:[A-Z_]+=\S+ )*(nexus [^#\n]+)", re.MULTILINE)
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands_of(text: str) -> list[str]:
    """What stands in backticks, and in blocks for the console, as one would type it."""
    blocks = "\n".join(BLOCK.findall(text))
    return [found.strip() for found in (*SPAN.findall(text), *LINE.findall(blocks))]


def problem_of(command: str) -> str | None:
    """Why a command line cannot be typed as it stands; None if it can."""
    words = shlex.split(command.replace("…", ""))[1:]
    found: click.Command = nexus
    while isinstance(found, click.Group):
        if not words:
            return None  # the group itself, as a name for all that it does
        inner = found.get_command(click.Context(found), words[0])
        if inner is None:
            return f"there is no command {words[0]}"
        found, words = inner, words[1:]
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in {*options, "--help"}]
    return f"there is no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_on_a_page_for_operators_exists(page: Path) -> None:
    found = {command: problem_of(command) for command in commands_of(page.read_text())}
    assert {command: problem for command, problem in found.items() if problem is not None} == {}


def test_a_command_or_an_option_that_does_not_exist_is_found() -> None:
    assert commands_of("`nexus top` and\n```console\nA=1 nexus queues list  # all\n```") == [
        "nexus top",
        "nexus queues list",
    ]
    assert problem_of("nexus jobs replay --failed --kind NAME") is None
    assert problem_of("nexus jobs replay --state failed") == "there is no option --state"
    assert problem_of("nexus queue list") == "there is no command queue"


def test_there_is_something_to_hold() -> None:
    assert sum(len(commands_of(page.read_text())) for page in PAGES) > 20
