"""Strong entity tags from a row's version (RFC 9110, sections 8.8.3 and 13.1)."""

from __future__ import annotations

from flask import Response, request

from domain.errors import PreconditionFailed, PreconditionRequired


def tag(version: int | str, *more: str) -> str:
    """The opaque tag of a representation, without quotes. `more` is what changes it beside the version."""
    return "-".join((str(version), *more))


def with_etag(response: Response, version: int | str, *more: str) -> Response:
    """Set `ETag`, and answer 304 where `If-None-Match` shows that the client has this representation."""
    response.set_etag(tag(version, *more))
    if request.method in {"GET", "HEAD"}:
        response.make_conditional(request)
    return response


def check_if_match(version: int | str) -> None:
    """Hold `If-Match` against the version that is there, inside the transaction that changes it, with the row locked.

    What changed by itself beside the version does not stand in the way of an edit. Raises `PreconditionRequired` if the
    header is missing and `PreconditionFailed` if it names no present version.
    """
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send the ETag that you read as If-Match.")
    sent = request.if_match
    if not sent.star_tag and str(version) not in {each.partition("-")[0] for each in sent.as_set() if each}:
        raise PreconditionFailed("Read the object again, and send its present ETag.")
