"""One request to a vendor's HTTP API, told apart by whether anything can have happened there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from domain.errors import JobError, Permanent, RateLimited, Transient, UnknownOutcome
from providers.retry_after import retry_after

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 15.0
_ANSWER_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """`body` is the decoded JSON object, empty if the answer is not one. Names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def post(
    vendor: str,
    url: str,
    *,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    basic: tuple[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> VendorAnswer:
    """POST a form or JSON. Follows no redirect, reads no proxy and no credentials from the environment.

    Raises `Transient` (`provider_unreachable`) if no connection came about, so that nothing can have happened, and
    `UnknownOutcome` if one broke or fell silent.
    """
    import httpx2

    try:
        with httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False, verify=_certificates()) as client:
            answer = client.post(
                url, headers=dict(headers), data=form, json=body, auth=basic or httpx2.USE_CLIENT_DEFAULT
            )
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
        raise Transient(f"{vendor} cannot be reached.", code="provider_unreachable") from None
    except httpx2.TransportError:
        raise UnknownOutcome(f"{vendor} fell silent after it had the message.") from None
    return VendorAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, _object(answer.content))


def refusal(vendor: str, answer: VendorAnswer, said: str, permanent: Mapping[str, str] | None = None) -> JobError:
    """The error for an answer that is no success. `permanent` maps the vendor's own codes, as text, to ours.

    The vendor refused before it sent anything, so a 5xx may be repeated.
    """
    own = (permanent or {}).get(said.partition(" ")[0])
    if own is not None:
        return Permanent(f"{vendor} refused the message: {said[:300]}", code=own)
    if answer.status in (401, 403):
        return Permanent(f"{vendor} does not accept the credentials.", code="provider_unauthorized")
    if answer.status == 429:
        return RateLimited(f"{vendor} asks to wait.", retry_after=retry_after(answer.headers))
    if answer.status >= 500 or answer.status in {408, 409, 425}:
        wait = retry_after(answer.headers)
        return Transient(f"{vendor} failed ({answer.status}).", code="provider_unavailable", retry_after=wait)
    return Permanent(f"{vendor} refused the message ({answer.status}): {said[:300]}", code="provider_rejected")


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content[:_ANSWER_LIMIT])
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@cache
def _certificates() -> ssl.SSLContext:
    """Loading them anew takes 20 ms each time."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
