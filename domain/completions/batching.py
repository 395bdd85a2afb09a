"""How many texts go into one call for embeddings."""

from __future__ import annotations

from collections.abc import Sequence

TEXTS_AT_ONCE = 256
BYTES_AT_ONCE = 400_000
"""At four bytes to a token, a third of the 300,000 tokens that OpenAI takes at once; dense scripts have fewer bytes to one."""


def batches(texts: Sequence[str]) -> list[list[str]]:
    """The texts in their order, in as few calls as their number and size allow. One that is too large goes alone."""
    made: list[list[str]] = []
    size = 0
    for text in texts:
        bytes_ = len(text.encode("utf-8", "replace"))
        if not made or len(made[-1]) >= TEXTS_AT_ONCE or size + bytes_ > BYTES_AT_ONCE:
            made.append([])
            size = 0
        made[-1].append(text)
        size += bytes_
    return made
