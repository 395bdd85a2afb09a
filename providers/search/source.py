"""One question to an HTTP source: judged address, bounded in time and size, never redirected, refused when it is no answer.

A source that does not answer raises `Transient`, so that its circuit opens; one that answers nonsense raises `Permanent`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.destinations import Network, parse_destination
from domain.errors import InvalidPayload, Permanent, RateLimited, Transient
from domain.search.query import Found, Query
from domain.search.wire import ANSWER_LIMIT, Malformed, read_answer, request_body
from providers.outbound import post
from providers.retry_after import retry_after


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A source's address, and the header that it wants with its value, if it wants one."""

    name: str
    url: str
    header_name: str
    secret: str | None = field(repr=False)


def ask(endpoint: Endpoint, query: Query, *, allowed: Sequence[Network], seconds: float) -> Found:
    """The source's hits, checked. Waits at most `seconds` for all of the answer.

    Raises `Transient` (`timeout`, `source_unavailable`, and the codes of `providers.outbound.post`), `RateLimited`, and
    `Permanent` with `address_refused`, `credentials_refused`, `redirected`, `source_refused`, `answer_too_large` or
    `malformed_answer`.
    """
    ends = time.monotonic() + seconds
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    try:
        destination = parse_destination(endpoint.url, allowed)
    except InvalidPayload:  # the operator's list has changed since the URL was taken
        raise Permanent("The source's address may not be reached.", code="address_refused") from None
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Nexus-Search/1",
    }
    if endpoint.secret is not None:
        headers[endpoint.header_name] = endpoint.secret
    body = request_body(query, deadline, round(seconds * 1000))
    answer = post(destination, headers, body, allowed=allowed, timeout=seconds, limit=ANSWER_LIMIT + 1)
    _refuse(answer.status, retry_after(answer.headers))
    if len(answer.body) > ANSWER_LIMIT:
        raise Permanent(f"The answer has more than {ANSWER_LIMIT} bytes.", code="answer_too_large")
    try:
        return read_answer(answer.body, endpoint.name, query.wanted)
    except Malformed as error:
        if time.monotonic() >= ends:  # it broke off because the time was over
            raise Transient("The answer was not whole in time.", code="timeout") from None
        raise Permanent(f"The answer cannot be read: {error}.", code="malformed_answer") from None


def _refuse(status: int, wait: float | None) -> None:
    if status == 200:
        return
    if 300 <= status < 400:
        raise Permanent("The source redirects, and redirects are not followed.", code="redirected")
    if status in {401, 403}:
        raise Permanent(f"The source answered {status} to its credentials.", code="credentials_refused")
    if status == 429:
        raise RateLimited("The source asks to wait.", code="source_rate_limited", retry_after=wait)
    if status >= 500:
        raise Transient(f"The source answered {status}.", code="source_unavailable")
    raise Permanent(f"The source answered {status}.", code="source_refused")
