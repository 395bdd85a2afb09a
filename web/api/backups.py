"""Backups of the whole platform, for operators: asking for one, and which there are. They are restored by `nexus restore`."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_smorest import Blueprint

from jobs.recovery import KIND, UNIQUE_KEY
from jobs.submit import submit
from tenancy.audit import noted
from tenancy.recovery.store import Store
from tenancy.scopes import operator_scope
from web.auth import operator
from web.context import principal, tenancy
from web.jobs_response import accepted
from web.operator_jobs import operator_job
from web.pagination import Envelope, read_page
from web.schemas.backups import BackupListQuerySchema, BackupSchema
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema

blueprint = Blueprint("backups", __name__, url_prefix="/admin/backups", description="Backups of the whole platform")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.arguments(BackupListQuerySchema, location="query")
@blueprint.response(200, page_schema(BackupSchema))
def list_backups(query: dict[str, Any]) -> tuple[Envelope[dict[str, Any]], dict[str, str]]:
    """List the backups in the operator's bucket that are whole."""
    page = read_page(query)
    store = Store(tenancy().settings, tenancy().ring)
    ids = [each for each in store.ids() if page.after is None or (each < page.after) is page.newest_first]
    ordered = list(reversed(ids)) if page.newest_first else ids
    return page.answer([store.shown(each) for each in ordered[: page.fetch_limit]])


@blueprint.route("", methods=["POST"])
@operator
@blueprint.response(202, JobSchema, description="The job that makes it, in the operator's tenant.")
@blueprint.alt_response(200, schema=JobSchema, description="The job finished while it was waited for.")
def create_backup() -> Response:
    """Back up the platform's database and every tenant's, then remove backups that no rule keeps.

    One at a time: a second one is answered with `unique_key_taken`. The job's id is the backup's.
    """
    tenancy().platform.fetch(*noted(operator_scope(), "backup.requested", "backup:platform"), operator_scope())
    return accepted(submit(tenancy(), operator_job(KIND, {"requested_by": principal().subject}, unique_key=UNIQUE_KEY)))
