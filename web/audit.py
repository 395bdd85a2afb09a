"""What the routes of the audit answer, for whichever chain they show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from typing import Any
from uuid import UUID

from flask import Response

from domain.audit.chain import Link
from domain.audit.entries import PLATFORM
from domain.errors import Conflict
from domain.spreadsheets import csv_line
from jobs.submissions import submission
from tenancy.audit.exporting import key_of
from tenancy.audit.reading import AuditFilter, export, page
from tenancy.audit.verifying import verify
from tenancy.database import Row
from web.context import tenancy
from web.pagination import Envelope, read_page
from web.schemas.audit import AuditEntrySchema

_ENTRY = AuditEntrySchema()
_CHUNK = 256 * 1024
_FILTERS = ("actor", "action", "resource", "occurred_from", "occurred_to")


def listed(tenant_id: UUID, query: Mapping[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """A page of entries. Raises `InvalidCursor`."""
    wanted = read_page(query)
    _gather(tenant_id)
    found = page(
        tenancy().platform,
        tenant_id,
        _filter(query),
        after=wanted.after,
        limit=wanted.fetch_limit,
        newest_first=wanted.newest_first,
    )
    return wanted.answer(found)


def verified(tenant_id: UUID, query: Mapping[str, Any]) -> dict[str, Any]:
    """What a piece of the chain is found to be."""
    known = None
    if query["head"] is not None:
        sequence, _, digits = query["head"].partition(":")
        known = Link(int(sequence), bytes.fromhex(digits))
    if query["after"] == 0:
        _gather(tenant_id)
    found = verify(tenancy().platform, tenant_id, after=query["after"], limit=query["limit"], known=known)
    return {
        "ok": not found.faults,
        "checked": found.checked,
        "first": found.first.sequence,
        "head": f"{found.last.sequence}:{found.last.hash.hex()}",
        "waiting": found.waiting,
        "faults": [asdict(fault) for fault in found.faults],
        "next": found.next,
    }


def exported(tenant_id: UUID, query: Mapping[str, Any]) -> Response:
    """All entries that the filter finds, the oldest first, sent as they are read. The first piece is read before it begins."""
    _gather(tenant_id)
    rows = export(tenancy().platform, tenant_id, _filter(query))
    first = list(_take(rows))
    form = query["format"]
    lines = _as_csv if form == "csv" else _as_json_lines
    response = Response(lines(chain(first, rows)), mimetype="text/csv" if form == "csv" else "application/x-ndjson")
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def download(tenant_id: UUID, kind: str, export_id: UUID) -> Response:
    """The file that a job of this kind has written into the tenant's bucket. Raises `NotFound`, and `Conflict` until it is done."""
    if submission(tenancy(), tenant_id, kind, export_id).row["state"] != "succeeded":
        raise Conflict("The export is not finished.")
    stream = tenancy().bucket(tenant_id).open(key_of(export_id))

    def chunks() -> Iterator[bytes]:
        with stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    response = Response(chunks(), mimetype="application/x-ndjson", direct_passthrough=True)
    response.headers["Content-Disposition"] = f'attachment; filename="audit-{export_id}.ndjson"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _gather(tenant_id: UUID) -> None:
    """What changed in the tenant's own database belongs here too, and is here by now unless something went wrong."""
    if tenant_id != PLATFORM:
        tenancy().tell_audit(tenant_id)


def _take(rows: Iterator[Row]) -> Iterator[Row]:
    row = next(rows, None)
    if row is not None:
        yield row


def _filter(query: Mapping[str, Any]) -> AuditFilter:
    return AuditFilter(**{name: query[name] for name in _FILTERS})


def _as_json_lines(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(_ENTRY.dump(row), ensure_ascii=False, separators=(",", ":")) + "\n"


def _as_csv(rows: Iterable[Row]) -> Iterator[str]:
    yield csv_line(_ENTRY.fields)
    for row in rows:
        shown = _ENTRY.dump(row)
        yield csv_line(json.dumps(cell) if isinstance(cell, dict) else cell for cell in shown.values())
