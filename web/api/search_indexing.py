"""How the tenant's documents are indexed: their language, and whether a model gives each a vector."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, jsonify
from flask_smorest import Blueprint
from sqlalchemy import text
from sqlalchemy.orm import Session

from domain.errors import Conflict
from jobs.submit import NewJob, submit
from models.tenant import SearchIndexing
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.document_store import indexing
from web.etags import check_if_match, with_etag
from web.job_submissions import of_this_request
from web.jobs_response import accepted, new_job
from web.schemas.documents import SearchIndexingSchema, SearchIndexingUpdateSchema
from web.schemas.jobs import JobSchema

blueprint = Blueprint("search_indexing", __name__, description="How documents are indexed for searches")

_COUNTS = text(
    """
SELECT (SELECT count(*) FROM documents WHERE tenant_id = :tenant) AS documents,
       count(*) FILTER (WHERE due_at IS NULL AND error IS NULL AND generation = :generation) AS embedded,
       count(*) FILTER (WHERE due_at IS NOT NULL) AS waiting, count(*) FILTER (WHERE error IS NOT NULL) AS failed
  FROM document_embeddings WHERE tenant_id = :tenant
"""
)
_MAKE = text("INSERT INTO search_indexing (tenant_id, version) VALUES (:tenant, 0) ON CONFLICT DO NOTHING")


@blueprint.route("/search/indexing", methods=["GET"])
@can("document:read")
@blueprint.response(200, SearchIndexingSchema)
def get_indexing() -> Response:
    """Read how documents are indexed, and how many of them have their vector."""
    with tenancy().session(tenant_id()) as session:
        return _shown(session, indexing(session))


@blueprint.route("/search/indexing", methods=["PUT"])
@can("llm_config:update")
@blueprint.arguments(SearchIndexingUpdateSchema, example={"language": "english", "embeds": True})
@blueprint.response(200, SearchIndexingSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_indexing(asked: dict[str, Any]) -> Response:
    """Choose how documents are indexed. `If-Match` must carry the `ETag` that was read.

    With `embeds`, a job embeds every document that has no vector of this choice; `job_id` names it, and its progress tells how
    far it is. Until then searches find documents by their words. The language holds for documents put from now on.
    """
    with tenancy().session(tenant_id()) as session:
        session.execute(_MAKE, {"tenant": tenant_id()})
        chosen = session.get_one(SearchIndexing, tenant_id(), with_for_update=True)
        check_if_match(chosen.version)
        another = (chosen.model, chosen.dimensions) != (asked["model"], asked["dimensions"])
        for name, value in asked.items():
            setattr(chosen, name, value)
        chosen.version += 1
        chosen.generation += another
        session.flush()
    job = submit(tenancy(), of_this_request(NewJob("document.reindex", {}, principal()))) if chosen.embeds else None
    with tenancy().session(tenant_id()) as session:
        return _shown(session, chosen, None if job is None else job.id)


@blueprint.route("/search/indexing/rebuild", methods=["POST"])
@can("llm_config:update")
@blueprint.response(202, JobSchema, description="The job that embeds what has no vector of the present choice.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def rebuild_index() -> Response:
    """Embed every document that has no vector of the present choice, also those that no model took before."""
    with tenancy().session(tenant_id()) as session:
        if not indexing(session).embeds:
            raise Conflict("Documents are not embedded: choose it with PUT /search/indexing.")
    return accepted(submit(tenancy(), new_job("document.reindex", {})))


def _shown(session: Session, chosen: SearchIndexing, job_id: UUID | None = None) -> Response:
    counts = session.execute(_COUNTS, {"tenant": tenant_id(), "generation": chosen.generation}).mappings().one()
    body = {
        "language": chosen.language, "embeds": chosen.embeds, "model": chosen.model, "dimensions": chosen.dimensions,
        **counts, "job_id": job_id,
    }  # fmt: skip
    return with_etag(jsonify(SearchIndexingSchema().dump(body)), chosen.version)
