"""Every block in the documents is run or held to the code, or says in a table why not; links and named files exist."""

from __future__ import annotations

import re

import pytest

from config.telemetry.measures import BY_TENANT, MEASURES, READ, REQUESTS
from tests.documents.blocks import KEYED, NOT_RUN, ROOT, WORDS, Block, blocks, pages
from tests.documents.checks import unknown_command, wrong_commands, wrong_imports, wrong_json, wrong_requests
from tests.documents.copies import edited
from tests.documents.sessions import missing
from web.app import description

OTHER_VARIABLES = {"NEXUS_URL", "NEXUS_API_KEY", "NEXUS_PASSWORD", "NEXUS_CODE", "NEXUS_WEBHOOK_SECRET"}
"""Of the command line, and of a receiver's own program."""

NOT_SERIES = {"nexus_web", "nexus_engine", "nexus_owner", "nexus_client", "nexus_platform"}
"""Roles, a package and a database whose names begin as those of series do."""

ALL = [block for page in pages() for block in blocks(page)]
DRAWN = re.compile(r"^\s*(curl|nexus|make|POST|GET|PUT|pip|import|from) ", re.MULTILINE)


def marked(word: str) -> list[Block]:
    return [block for block in ALL if block.has(word) or block.value(word) is not None]


def test_every_block_says_how_it_is_checked_or_is_listed_with_a_reason() -> None:
    silent = [
        block.name
        for block in ALL
        if block.language and not block.words and (block.page, block.first_line) not in NOT_RUN
    ]
    assert silent == [], (
        "write how it is checked behind the language (tests/documents/blocks.py), or why not into NOT_RUN"
    )


def test_every_word_behind_a_language_means_something() -> None:
    unknown = [f"{block.name} {word}" for block in ALL for word in block.words
               if word not in WORDS and word.partition("=")[0] not in KEYED]  # fmt: skip
    assert unknown == []


def test_what_is_listed_is_there() -> None:
    there = {(block.page, block.first_line) for block in ALL if not block.words}
    assert set(NOT_RUN) - there == set()


def test_a_block_without_a_language_is_a_drawing() -> None:
    assert [block.name for block in ALL if not block.language and DRAWN.search(block.text)] == []


def test_an_output_follows_what_prints_it() -> None:
    for page in pages():
        before = None
        for block in blocks(page):
            if block.has("output"):
                assert before is not None, block.name
                assert before.has("run"), block.name
            before = block


@pytest.mark.parametrize("block", marked("commands"), ids=lambda block: block.name)
def test_commands_exist(block: Block) -> None:
    assert list(wrong_commands(block)) == []


@pytest.mark.parametrize("page", pages())
def test_commands_within_sentences_exist(page: str) -> None:
    assert [
        fault
        for line in re.findall(r"`(nexus (?!ready )[a-z][^`]*)`", (ROOT / page).read_text())
        for fault in unknown_command(line)
    ] == []


def test_requests_and_bodies_fit_the_api() -> None:
    document = description()
    faults = [fault for block in marked("requests") for fault in wrong_requests(block, document)]
    assert faults + [fault for block in marked("schema") for fault in wrong_json(block, document)] == []


@pytest.mark.parametrize("block", marked("imports"), ids=lambda block: block.name)
def test_imports_exist(block: Block) -> None:
    assert list(wrong_imports(block)) == []


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose)]
    inside = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in inside if not ((ROOT / page).parent / target).exists()] == []


@pytest.mark.parametrize("page", pages())
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`((?:tests|docs|deploy|bench|clients|domain|tenancy|tasks|jobs|web|providers|models|workers|cli)/[\w./-]+)`",
                       (ROOT / page).read_text())  # fmt: skip
    made = {block.value("file") for block in blocks(page)}
    assert [name for name in named if name not in made and not (ROOT / name.rstrip("./")).exists()] == []


@pytest.mark.parametrize("page", pages())
def test_variables_that_are_named_exist(page: str) -> None:
    known = {
        *re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE),
        *OTHER_VARIABLES,
    }
    named = set(re.findall(r"\b((?:NEXUS|FLOWER|DATABASE)_[A-Z0-9_]*[A-Z0-9])\b", (ROOT / page).read_text()))
    assert named - known == set()


@pytest.mark.parametrize("page", pages())
def test_series_that_are_named_exist(page: str) -> None:
    known = {each.series for group in (READ, MEASURES, REQUESTS, BY_TENANT) for each in group.values()}
    named = set(re.findall(r"`(nexus_[a-z_]+[a-z])(?:\{[^`]*)?`", (ROOT / page).read_text()))
    assert named - known - NOT_SERIES == set()


@pytest.mark.parametrize("page", sorted({block.page for block in marked("file")}))
def test_a_pages_edits_fit_the_code(page: str) -> None:
    for block in blocks(page):
        if (name := block.value("file")) and block.language == "diff":
            assert edited((ROOT / name).read_text(), block.text) != (ROOT / name).read_text()


def test_an_edit_is_made_where_it_fits_once() -> None:
    assert edited("a\nb\nc\n", " b\n+x\n@@\n-c\n+d\n") == "a\nb\nx\nd\n"
    for diff in (" z\n+x\n", " a\n+x\n"):
        with pytest.raises(ValueError, match="times, not once"):
            edited("a\nb\na\n", diff)


def test_lines_are_looked_for_in_order() -> None:
    assert missing("a …\nc", "a 1\nb\nc\n") == []
    assert missing("c\na …", "a 1\nb\nc\n") == ["a …"]
