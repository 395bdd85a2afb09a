"""Token estimates for answers that do not report their usage."""

from __future__ import annotations

import re
from collections.abc import Iterable

from providers.llm.base import Message, Usage

BYTES_PER_TOKEN = 4  # what English prose comes to with the vendors' tokenizers; code and other scripts need more
_LONGEST_TOKEN = 128  # bytes: a run of spaces or of one sign
_WORD = re.compile(r"\w+")
_TOKENS_PER_MESSAGE = 4  # role and separators


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def least_tokens(texts: Iterable[str]) -> int:
    """No tokenizer in use makes fewer: none joins words that spaces or signs part, and none knows pieces of so many bytes."""
    return sum(
        max(sum(1 for _ in _WORD.finditer(text)), len(text.encode("utf-8", "replace")) // _LONGEST_TOKEN)
        for text in texts
    )


def estimated_usage(messages: Iterable[Message], answer: str) -> Usage:
    """Usage marked as estimated."""
    asked = sum(_TOKENS_PER_MESSAGE + estimate_tokens(message.content) for message in messages)
    return Usage(asked, 0, estimate_tokens(answer), "estimated")


def estimated_tokens(texts: Iterable[str]) -> int:
    """About how many tokens several texts are."""
    return sum(estimate_tokens(text) for text in texts)
