"""What the platform's own usage is called in the operator's books."""

from __future__ import annotations

from collections.abc import Collection

REPORTED = {"message": "messages", "completion": "completions", "embedding": "embeddings", "search": "searches"}
"""The code of a usage event for what a tenant's database has metered, by its noun."""


def reported_as(metered: str, priced: Collection[str]) -> tuple[str, ...]:
    """The codes under which something metered is billed: `message.sms` as `messages`, and as `messages.sms` if that is priced.

    `priced` are the codes that the operator has meters for. A noun that has no plural here is reported by its own name.
    """
    noun, _, part = metered.partition(".")
    whole = REPORTED.get(noun, noun)
    narrow = f"{whole}.{part}"
    return (whole, narrow) if part and narrow in priced else (whole,)
