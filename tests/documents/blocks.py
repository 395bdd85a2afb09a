"""The fenced blocks of the documents, and what the words behind a block's language ask for.

| after the language | what is done with the block |
|---|---|
| `run` | run against a real platform; the `run` blocks of a page are one session (`bash`), programs of their own (`python`) |
| `output` | lines that the `run` block before it must have printed, in this order; `…` stands for anything |
| `commands` | each line is a `nexus` or `make` command that exists, with options that exist |
| `requests` | each line, or each `curl`, is an operation of the API whose body fits its schema |
| `schema=Name` | JSON that fits this schema of the API |
| `file=path` | a file of the reader's own copy (`diff`: an edit of one), made before the page's platform starts |
| `imports` | Python that parses and whose imports exist |

A block without a language is a drawing. Every other block needs one of these words, or a reason in `NOT_RUN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = frozenset({"run", "output", "commands", "requests", "imports"})
KEYED = frozenset({"schema", "file"})

NOT_RUN: dict[tuple[str, str], str] = {
    ("README.md", "make demo    # set up, start everything, run real jobs through every domain, show what came out"):
        "tests/acceptance/test_demo.py and test_up.py run both",
    ("docs/getting-started.md", "make up"): "the page's own platform is `nexus up`; tests/acceptance/test_up.py runs it as printed",
    ("docs/deploying.md", "make .venv/.runtime"): "runs in the foreground; tests/acceptance/test_up.py starts the same",
    ("docs/deploying.md", "cp .env.example .env        # and set the secrets that the head of docker-compose.yml names"):
        "needs Docker; tests/architecture/test_deployment.py checks the files",
    ("docs/deploying.md", "kubectl apply -k deploy/kubernetes/overlays/cloud   # or overlays/small for a single small node"):
        "needs a cluster; tests/architecture/test_deployment.py checks the manifests",
    ("docs/operating.md", 'rabbitmqctl add_user nexus "$PASSWORD"'): "needs a server of one's own; bench/rabbitmq.py does the same for the tests",
    ("docs/operating.md", "[databases]"): "tests/faults/test_pgbouncer.py runs PgBouncer with these lines",
    ("docs/webhooks.md", "POST /hooks/nexus HTTP/1.1"): "what arrives, not what is sent; tests/acceptance/test_webhook_guide.py sends the like",
    ("docs/webhooks.md", "import os"): "tests/acceptance/test_webhook_guide.py runs it",
    ("docs/federation.md", "POST /search                                        200"):
        "what the platform asks of a source, and the answer; docs/search-source.schema.json is what the tests hold both to",
    ("clients/python/README.md", "pip install ./clients/python"): "the tests find the client by its path, so that they change no environment",
}  # fmt: skip
"""Blocks by page and first line that no test here runs, and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where it is, its language, the words behind that, its text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.page}:{self.line}"

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]

    def has(self, word: str) -> bool:
        return word in self.words

    def value(self, key: str) -> str | None:
        """What stands behind `key=`."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{key}=")), None)


def pages() -> list[str]:
    """Every page that people write, relative to the project."""
    found = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "clients").rglob("*.md"),
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found if "reference" not in path.relative_to(ROOT).parts)


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = iter(enumerate((ROOT / page).read_text().splitlines(), 1))
    for number, line in lines:
        if found := re.fullmatch(r"( *)(`{3,})(\w*) *(.*)", line):
            margin, fence, language, words = found.groups()
            inside = []
            for _, inner in lines:
                if inner.strip() == fence:
                    break
                inside.append(inner.removeprefix(margin))
            yield Block(page, number, language, tuple(words.split()), "\n".join(inside) + "\n")
