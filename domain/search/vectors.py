"""When vectors are compared one by one, and when an index is asked that may miss some."""

from __future__ import annotations

INDEXED_DIMENSIONS = (256, 384, 512, 768, 1024, 1536)
"""Sizes of vectors that there is an index for. Others are always compared one by one."""

MOST_DIMENSIONS = 4096

EXACT_BELOW = 10_000
"""A tenant with fewer vectors has them compared one by one: exact, and about as fast."""

EMBEDDED_CHARACTERS = 20_000
"""Of a document's title and body: about what models read at once."""


def is_exact(vectors: int, dimensions: int) -> bool:
    """Whether to compare one by one."""
    return vectors < EXACT_BELOW or dimensions not in INDEXED_DIMENSIONS
