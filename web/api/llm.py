"""Completions and embeddings: asked for as jobs, and accounted for in the call log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.completions.catalog import models_of
from domain.errors import NotFound
from jobs.payloads.completions import CompletionCreateSchema, EmbeddingCreateSchema
from jobs.queries import get
from jobs.submit import submit
from models.tenant import ApiCallLog
from web.api.llm_config import config_of
from web.auth import can
from web.completion_stream import completion_stream
from web.context import tenancy, tenant_id, watcher
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.preferences import wants_async
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema
from web.schemas.llm import ApiCallFilterSchema, ApiCallSchema, ModelListSchema

blueprint = Blueprint("llm", __name__, description="Language models: completions, embeddings, calls")

_STREAM = "`job`, then `text` with each piece, `restart` where what came before is void, and `completion` or `error` at the end."


@blueprint.route("/llm/completions", methods=["POST"])
@can("completion:create")
@blueprint.arguments(CompletionCreateSchema, example={"messages": [{"role": "user", "content": "Say hello."}]})
@blueprint.response(202, JobSchema, description="The job that asks the model.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_completion(completion: dict[str, Any]) -> Response:
    """Answer a conversation with a language model.

    Answers with the job; its result holds the text, who served it, the tokens and the cost. `Prefer: wait=30` waits for
    it. With `stream`, it answers with `text/event-stream` and the events of `GET /llm/completions/{id}/events`; a client that
    leaves changes nothing, and may come back there; with `Prefer: respond-async` it gets the job at once and reads along there. Repeating the request with the same `Idempotency-Key` answers with the
    same job.
    """
    submitted = submit(tenancy(), new_job("completion.create", completion))
    if not completion["stream"] or wants_async():
        return accepted(submitted)
    return completion_stream(tenancy(), watcher(), submitted.row)


@blueprint.route("/llm/completions/<uuid:completion_id>/events", methods=["GET"])
@can("completion:read")
@blueprint.response(200, {"type": "string"}, content_type="text/event-stream", description=_STREAM)
def follow_completion(completion_id: UUID) -> Response:
    """Read a completion along while it comes, or again from where the client was.

    The id of a `text` event is its place; with `Last-Event-ID`, only what is newer comes. A completion that was asked for
    without `stream` comes as a whole at its end.
    """
    row = get(tenancy(), tenant_id(), completion_id)
    if row["kind"] != "completion.create":
        raise NotFound(f"There is no completion {completion_id}.")
    return completion_stream(tenancy(), watcher(), row)


@blueprint.route("/llm/embeddings", methods=["POST"])
@can("completion:create")
@blueprint.arguments(EmbeddingCreateSchema, example={"input": ["A text.", "Another."]})
@blueprint.response(202, JobSchema, description="The job that embeds the texts.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_embeddings(asked: dict[str, Any]) -> Response:
    """Place texts in a model's space of meaning.

    Answers with the job; its result holds one vector for each text, in their order, all of one model. Many texts go in as few
    calls as the vendor allows.
    """
    return accepted(submit(tenancy(), new_job("embedding.create", asked)))


@blueprint.route("/llm/models", methods=["GET"])
@can("completion:read")
@blueprint.response(200, ModelListSchema)
def list_models() -> dict[str, Any]:
    """List the models with known prices of those providers that the tenant's targets may use.

    Others can be asked for by name as well; a server of one's own tells its models itself.
    """
    settings = tenancy().settings
    platform = [
        name
        for name, key in (("openai", settings.openai_api_key), ("anthropic", settings.anthropic_api_key))
        if key is not None
    ]
    providers = {target.provider for target in config_of(tenancy(), tenant_id()).targets}
    return {"items": models_of(providers.union(platform) if "nexus" in providers else providers)}


@blueprint.route("/llm/calls", methods=["GET"])
@can("completion:read")
@blueprint.arguments(ApiCallFilterSchema, location="query")
@blueprint.response(200, page_schema(ApiCallSchema))
def list_calls(arguments: dict[str, Any]) -> tuple[Envelope[ApiCallLog], dict[str, str]]:
    """List the calls of language models, one entry for each attempt, newest first unless asked otherwise."""
    return list_rows(ApiCallLog, arguments)
