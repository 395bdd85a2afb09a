"""Where a search looks: one module per source of the platform's own, each found here by its name, and one for tenants' own."""

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
    """A source of the platform's own; `domain.search.sources.OWN` says who may search it. A search with filters passes over one
    that is not `filterable`.
    """

    find: Find
    filterable: bool = False


SOURCES: Mapping[str, Source] = {
    "documents": Source(documents.find, filterable=True),
    "messages": Source(messages.find),
    "invoices": Source(invoices.find),
    "users": Source(users.find),
}
