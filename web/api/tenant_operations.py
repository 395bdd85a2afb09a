"""What operators do about tenants that they are no members of: quotas, and the proof of erasures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from tenancy.database import Row
from tenancy.life import certificates, quotas
from web.auth import operator
from web.context import principal, tenancy
from web.etags import check_if_match, with_etag
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.tenant_life import CertificateSchema, QuotasUpdateSchema

blueprint = Blueprint(
    "tenant_operations", __name__, url_prefix="/admin", description="What operators decide about workspaces"
)


@blueprint.route("/tenants/<uuid:tenant>/quotas", methods=["GET"])
@operator
@blueprint.response(200, QuotasUpdateSchema)
def get_tenant_quotas(tenant: UUID) -> Response:
    """Read a tenant's quotas."""
    return _shown(quotas.get(tenancy().platform, tenant))


@blueprint.route("/tenants/<uuid:tenant>/quotas", methods=["PUT"])
@operator
@blueprint.arguments(QuotasUpdateSchema)
@blueprint.response(200, QuotasUpdateSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_tenant_quotas(body: dict[str, Any], tenant: UUID) -> Response:
    """Set a tenant's quotas, all of them. `If-Match` must carry the `ETag` that was read."""
    platform = tenancy().platform
    version: int = quotas.get(platform, tenant)["version"]
    check_if_match(version)
    return _shown(quotas.put(platform, tenant, body, version=version, by=principal().subject))


@blueprint.route("/erasure-certificates", methods=["GET"])
@operator
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(CertificateSchema))
def list_certificates(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the certificates of erased tenants."""
    page = read_page(query)
    bounds: dict[str, Any] = {"after": page.after, "limit": page.fetch_limit, "newest_first": page.newest_first}
    return page.answer(certificates.page(tenancy().platform, **bounds))


@blueprint.route("/erasure-certificates/<uuid:certificate_id>", methods=["GET"])
@operator
@blueprint.response(200, CertificateSchema)
def get_certificate(certificate_id: UUID) -> Row:
    """Read the certificate of an erased tenant."""
    return certificates.get(tenancy().platform, certificate_id)


def _shown(found: Row) -> Response:
    return with_etag(make_response(QuotasUpdateSchema().dump(found)), found["version"])
