"""A tenant's archives: listed, downloaded, brought, removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from uuid import UUID

from flask import Response, make_response, request
from flask_smorest import Blueprint

from domain.errors import Conflict, FieldError, InvalidPayload, Permanent, PermissionDenied, QuotaExceeded
from tenancy.database import Row
from tenancy.life import archives
from tenancy.life.archive import ArchiveReader
from tenancy.life.export import measured
from tenancy.life.manifest import Manifest
from web.auth import ACTIVE, can
from web.context import principal, tenancy
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.tenant_life import ArchiveSchema

blueprint = Blueprint(
    "tenant_archives", __name__, url_prefix="/tenants/<uuid:tenant_id>/archives", description="Workspaces in a file"
)

KEPT = ACTIVE | {"suspended", "deleting"}
_CHUNK = 256 * 1024
_FILE = {"schema": {"type": "string", "format": "binary"}}


@blueprint.route("", methods=["GET"])
@can("tenant:export", states=KEPT)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(ArchiveSchema))
def list_archives(query: dict[str, Any], tenant_id: UUID) -> tuple[Envelope[Row], dict[str, str]]:
    """List a tenant's archives."""
    page = read_page(query)
    bounds: dict[str, Any] = {"after": page.after, "limit": page.fetch_limit, "newest_first": page.newest_first}
    return page.answer(archives.page(tenancy().platform, tenant_id, **bounds))


@blueprint.route("", methods=["POST"])
@can("tenant:restore", states=ACTIVE | {"suspended"})
@blueprint.response(201, ArchiveSchema)
@blueprint.doc(requestBody={"required": True, "content": {"application/octet-stream": _FILE}})
def upload_archive(tenant_id: UUID) -> Response:
    """Bring an archive that this platform made, to restore it here. Bringing it again answers as the first time.

    It must be of this tenant, or of one that the caller owned when it was made.
    """
    request.max_content_length = tenancy().settings.archive_limit_bytes
    with archives.scratch(tenancy().settings) as file:
        while chunk := request.stream.read(_CHUNK):
            file.write(chunk)
        try:
            manifest = _checked(file)
            _check_owner(manifest, tenant_id)
            size, sha256 = measured(file)
            row = archives.store(tenancy(), tenant_id, manifest, file, size, sha256, principal().subject)
        except Permanent as error:
            if error.job_code == "quota_exceeded":
                raise QuotaExceeded(error.detail) from None
            raise InvalidPayload(error.detail, errors=(FieldError("", error.job_code, error.detail),)) from None
    response = make_response(ArchiveSchema().dump(row), 201)
    response.headers["Location"] = f"/api/v1/tenants/{tenant_id}/archives/{row['id']}"
    return response


@blueprint.route("/<uuid:archive_id>", methods=["GET"])
@can("tenant:export", states=KEPT)
@blueprint.response(200, ArchiveSchema)
def get_archive(tenant_id: UUID, archive_id: UUID) -> Row:
    """Read what an archive is."""
    return archives.get(tenancy().platform, tenant_id, archive_id)


@blueprint.route("/<uuid:archive_id>/content", methods=["GET"])
@can("tenant:export", states=KEPT)
@blueprint.response(
    200, {"type": "string", "format": "binary"}, content_type="application/zip", description="The file."
)
def download_archive(tenant_id: UUID, archive_id: UUID) -> Response:
    """Download an archive."""
    row = archives.get(tenancy().platform, tenant_id, archive_id)
    if row["state"] != "ready":
        raise Conflict("The archive is still being written.")
    stream = tenancy().bucket(tenant_id).open(archives.key_of(archive_id))

    def chunks() -> Iterator[bytes]:
        with stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    response = Response(chunks(), mimetype="application/zip", direct_passthrough=True)
    response.content_length = row["bytes"]
    response.headers["Content-Disposition"] = f'attachment; filename="{archive_id}.zip"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/<uuid:archive_id>", methods=["DELETE"])
@can("tenant:restore", states=KEPT)
@blueprint.response(204)
def delete_archive(tenant_id: UUID, archive_id: UUID) -> None:
    """Remove an archive."""
    archives.delete(tenancy(), tenant_id, archive_id)


def _checked(file: IO[bytes]) -> Manifest:
    """The manifest of a file that is whole. Raises `Permanent`."""
    file.seek(0)
    reader = ArchiveReader(file, tenancy().ring)
    for _ in reader.check():
        pass
    return reader.manifest


def _check_owner(manifest: Manifest, tenant_id: UUID) -> None:
    who = principal()
    if manifest.tenant_id != str(tenant_id) and not who.is_operator and str(who.user_id) not in manifest.owners:
        raise PermissionDenied("The archive is of a tenant that the caller did not own.")
