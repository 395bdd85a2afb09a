"""Where a search looks: one module per source, each found here by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.search.query import Found, Query
from jobs.context import JobContext
from tasks.sources import documents, invoices, messages, users

Find = Callable[[JobContext, Query, datetime], Found]
"""Takes the searching job's context, what is asked and until when; gives hits best first. Raises `Unanswered`.

It opens its own sessions, so that none is open while it waits for another server.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """`permission` is what a caller needs beside that to search, because the source shows another resource's rows. A search with
    filters passes over a source that is not `filterable`.
    """

    find: Find
    permission: str | None = None
    filterable: bool = False


SOURCES: Mapping[str, Source] = {
    "documents": Source(documents.find, filterable=True),
    "messages": Source(messages.find, "notification:read"),
    "invoices": Source(invoices.find, "invoice:read"),
    "users": Source(users.find, "user:read"),
}
