"""Writing documents: many in one statement, each marked to be embedded where its text has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import structlog
from psycopg.errors import ProgramLimitExceeded
from sqlalchemy import Boolean, Table, func, literal_column
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from domain.errors import PlanQuotaExceeded, QuotaExceeded
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Document, SearchIndexing
from models.tenant.documents import MARK_DUE
from web.context import principal, tenancy, tenant_id
from web.errors import DATABASE_AWAY
from web.job_submissions import of_this_request

TABLE = cast("Table", Document.__table__)
SHOWN = tuple(TABLE.c[name] for name in (
    "id", "external_id", "title", "url", "language", "metadata", "version", "created_at", "updated_at",
))  # fmt: skip
"""What a list shows of a document: all but its body."""

_REPLACED = ("title", "body", "url", "language", "metadata")

log = structlog.get_logger(__name__)


class TooLarge(Exception):
    """PostgreSQL's text index cannot hold a document: about a megabyte of distinct words."""


def indexing(session: Session) -> SearchIndexing:
    """How the tenant has its documents indexed, as it is where nothing was chosen."""
    found = session.get(SearchIndexing, tenant_id())
    return found or SearchIndexing(
        tenant_id=tenant_id(), language="simple", embeds=False, model=None, dimensions=None, generation=1, version=0
    )


def put(
    session: Session, documents: Sequence[Mapping[str, Any]], chosen: SearchIndexing
) -> dict[str, Mapping[str, Any]]:
    """Insert or replace; the stored rows by external id, each with whether it is new. Raises `TooLarge`.

    Every writer takes rows in the order of their names, so that two who write the same documents wait for each other one way.
    """
    owner = tenant_id()
    rows = [
        {**document, "language": document["language"] or chosen.language, "tenant_id": owner, "id": new_id()}
        for document in sorted(documents, key=lambda each: each["external_id"])
    ]
    added = insert(TABLE).values(rows)
    statement = added.on_conflict_do_update(
        index_elements=[TABLE.c.tenant_id, TABLE.c.external_id],
        set_={
            **{name: added.excluded[name] for name in _REPLACED},
            "version": TABLE.c.version + 1, "updated_at": func.now(),
        },
    ).returning(*SHOWN, TABLE.c.body, literal_column("xmax = 0", Boolean).label("created"))  # fmt: skip
    try:
        rows_stored = session.execute(statement).mappings().all()
    except OperationalError as error:
        if isinstance(error.orig, ProgramLimitExceeded):
            raise TooLarge from None
        raise
    return {row["external_id"]: {str(name): value for name, value in row.items()} for row in rows_stored}


def mark(session: Session, stored: Mapping[str, Mapping[str, Any]], chosen: SearchIndexing) -> bool:
    """Mark those of the stored documents that have to be embedded; whether there are any. `embed_later` follows the commit."""
    if not chosen.embeds or not stored:
        return False
    ids = [row["id"] for row in stored.values()]
    marked = session.execute(MARK_DUE, {"tenant": tenant_id(), "ids": ids, "generation": chosen.generation})
    return bool(marked.all())


def embed_later() -> None:
    """Submit the job that embeds what is due.

    What was written stays written if that fails, also because the tenant has no job left: the documents stay due, for the
    tenant's next such job, and a search that finds them waiting submits one too.
    """
    try:
        submit(tenancy(), of_this_request(NewJob("document.embed", {}, principal())))
    except (*DATABASE_AWAY, QuotaExceeded, PlanQuotaExceeded):
        log.warning("document.embedding_not_submitted", tenant_id=str(tenant_id()), exc_info=True)
