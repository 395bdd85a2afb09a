"""Requests that may be repeated: the same `Idempotency-Key` gets the first request's answer.

For what answers with a job, the job's row holds the key (`jobs.submit`). For all else there is `@idempotent`:

1. The key is *claimed*: a row without a status, with the id that the new resource will have (`new_resource_id`).
2. The view *acts*, in one transaction of its own, which may be in another database.
3. The answer is *recorded* in the row, sealed.

Whatever crashes where, a repeated request does the right thing:

- before 1: nothing has happened; it is a first request.
- between 1 and 2, or between 2 and 3: the row is in progress. For `TAKEOVER_SECONDS` a repetition is told so (409), for the
  first request may still be at work. Then it takes the claim over and runs the view again *with the same resource id*. So a
  view must write `INSERT … ON CONFLICT (id) DO NOTHING`, or an upsert, and answer from the row that is there.
- after 3: it gets the recorded answer, with `Idempotency-Replayed: true`.

A view that raises a client's error has done nothing: the claim is given back, and the request may be corrected. After any
other exception nobody knows, so the claim stays, open to be taken over at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, LiteralString, ParamSpec
from uuid import UUID

from flask import Response, g, make_response, request

from domain.errors import FieldError, IdempotencyInProgress, IdempotencyMismatch, InvalidPayload, NexusError
from domain.ids import new_id
from tenancy.database import Row, Scope
from tenancy.scopes import tenant_scope, user_scope
from web.context import principal, tenancy

P = ParamSpec("P")

TAKEOVER_SECONDS = 60
KEEP_HOURS = 24
"""How long an answer is kept; the scope's next request with a key, or the leader's next sweep, removes what is older."""

_KEY = re.compile(r"[\x20-\x7e]{1,200}")

_FORGET: LiteralString = (
    "DELETE FROM idempotent_requests WHERE scope = %(scope)s AND created_at < now() - %(keep)s * interval '1 hour'"
)

_CLAIM: LiteralString = """
INSERT INTO idempotent_requests (scope, key, fingerprint, resource_id)
VALUES (%(scope)s, %(key)s, %(fingerprint)s, %(resource_id)s)
ON CONFLICT (scope, key) DO UPDATE SET created_at = now()
 WHERE idempotent_requests.status IS NULL AND idempotent_requests.fingerprint = excluded.fingerprint
   AND idempotent_requests.created_at < now() - %(takeover)s * interval '1 second'
RETURNING resource_id
"""

_FIND: LiteralString = """
SELECT fingerprint, status, location, resource_id, body_sealed FROM idempotent_requests
 WHERE scope = %(scope)s AND key = %(key)s
"""

_RECORD: LiteralString = """
UPDATE idempotent_requests SET status = %(status)s, location = %(location)s, body_sealed = %(body_sealed)s
 WHERE scope = %(scope)s AND key = %(key)s AND status IS NULL
"""

_RELEASE: LiteralString = "DELETE FROM idempotent_requests WHERE scope = %(scope)s AND key = %(key)s AND status IS NULL"

_OPEN: LiteralString = """
UPDATE idempotent_requests SET created_at = now() - (%(takeover)s + 1) * interval '1 second'
 WHERE scope = %(scope)s AND key = %(key)s AND status IS NULL
"""


@dataclass(frozen=True, slots=True)
class _Request:
    """A keyed request: whose keys it is among, the key, and what was asked."""

    name: str
    scope: Scope
    tenant_id: UUID | None
    key: str
    fingerprint: bytes

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "scope": self.name,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "takeover": TAKEOVER_SECONDS,
            "keep": KEEP_HOURS,
        }


def request_idempotency_key() -> str | None:
    """The request's `Idempotency-Key`. Raises `InvalidPayload` unless it is 1 to 200 printable ASCII characters."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        fault = FieldError("/header/Idempotency-Key", "invalid", "Must be 1 to 200 printable ASCII characters.")
        raise InvalidPayload("The idempotency key is invalid.", errors=(fault,))
    return key


def new_resource_id() -> UUID:
    """The id for what an `@idempotent` view creates: the same one whenever the same keyed request runs again."""
    reserved: UUID | None = g.get("reserved_resource_id")
    return reserved or new_id()


def idempotent(view: Callable[P, Any]) -> Callable[P, Response]:
    """Answer a repeated request as the first. Put it directly under the decorator that names who may call the view.

    Raises `IdempotencyMismatch` if the key came with another request, also of another caller in the tenant, and
    `IdempotencyInProgress` while the first request runs.
    """

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> Response:
        key = request_idempotency_key()
        if key is None:
            return make_response(view(*args, **kwargs))
        keyed = _keyed(key)
        earlier = _claim(keyed)
        if earlier is not None:
            return _repeat(keyed, earlier)
        try:
            response = make_response(view(*args, **kwargs))
        except NexusError as error:
            _run(keyed, _RELEASE if error.status < 500 else _OPEN)
            raise
        except Exception:  # whatever went wrong: nothing is swallowed, and the key must not stay taken
            _run(keyed, _OPEN)
            raise
        if response.status_code >= 400:
            _run(keyed, _RELEASE if response.status_code < 500 else _OPEN)
        else:
            _record(keyed, response)
        return response

    return once


def _keyed(key: str) -> _Request:
    who = principal()
    asked = b"\0".join((who.subject.encode(), request.method.encode(), request.full_path.encode(), request.get_data()))
    fingerprint = hashlib.sha256(asked).digest()
    if who.tenant_id is not None:
        return _Request(f"tenant:{who.tenant_id}", tenant_scope(who.tenant_id), who.tenant_id, key, fingerprint)
    if who.user_id is None:
        raise LookupError("a keyed request of neither a tenant nor a user")
    return _Request(f"user:{who.user_id}", user_scope(who.user_id), None, key, fingerprint)


def _claim(keyed: _Request) -> Row | None:
    """Claim the key; None means that this request is to act, a row that an earlier one has answered.

    Raises `IdempotencyMismatch` and `IdempotencyInProgress`.
    """
    parameters = {**keyed.parameters, "resource_id": new_id()}
    platform = tenancy().platform
    _, claimed, found = platform.fetch_many(
        [(_FORGET, parameters), (_CLAIM, parameters), (_FIND, parameters)], keyed.scope
    )
    if claimed:
        g.reserved_resource_id = claimed[0]["resource_id"]
        return None
    if not found:  # the first request gave its claim back while we asked
        raise IdempotencyInProgress(retry_after=1)
    earlier = found[0]
    if bytes(earlier["fingerprint"]) != keyed.fingerprint:
        raise IdempotencyMismatch("This key came with another request before; use a fresh key.")
    if earlier["status"] is None:
        raise IdempotencyInProgress("The first request with this key is at work; ask again.", retry_after=1)
    return earlier


def _run(keyed: _Request, statement: LiteralString) -> None:
    tenancy().platform.fetch(statement, keyed.parameters, keyed.scope)


def _record(keyed: _Request, response: Response) -> None:
    body = response.get_data()
    parameters = {
        **keyed.parameters,
        "status": response.status_code,
        "location": response.headers.get("Location"),
        "body_sealed": _seal(keyed, body),
    }
    tenancy().platform.fetch(_RECORD, parameters, keyed.scope)


def _repeat(keyed: _Request, earlier: Row) -> Response:
    body = _open(keyed, bytes(earlier["body_sealed"]))
    response = Response(body, status=earlier["status"], mimetype="application/json" if body else None)
    if earlier["location"] is not None:
        response.headers["Location"] = earlier["location"]
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _row_id(keyed: _Request) -> UUID:
    """The row's key is two texts; a sealed value belongs to a UUID."""
    return UUID(bytes=hashlib.sha256(f"{keyed.name}\0{keyed.key}".encode()).digest()[:16])


def _seal(keyed: _Request, body: bytes) -> bytes:
    """Seal with the tenant's key; an answer to a user without a tenant, with the platform's, whose id goes in front."""
    row = _row_id(keyed)
    if keyed.tenant_id is not None:
        return tenancy().vault(keyed.tenant_id).seal(body, "idempotent_requests", "body_sealed", row)
    key_id, sealed = tenancy().ring.wrap(body, f"idempotent_requests|{row}")
    return key_id.encode() + b"\0" + sealed


def _open(keyed: _Request, sealed: bytes) -> bytes:
    row = _row_id(keyed)
    if keyed.tenant_id is not None:
        return tenancy().vault(keyed.tenant_id).open(sealed, "idempotent_requests", "body_sealed", row)
    key_id, _, wrapped = sealed.partition(b"\0")
    return tenancy().ring.unwrap(key_id.decode(), wrapped, f"idempotent_requests|{row}")
