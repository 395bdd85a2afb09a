"""What a vendor's failure means for the job: one table for all vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.retry_after import retry_after

_SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"})
_SPENT_SUFFIXES = ("_spend_limit_reached", "_billing_unavailable")
_LOCKED_CODES = frozenset({"account_deactivated", "organization_on_hold"})
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_TOO_LONG = re.compile("prompt is too long|maximum context length|exceed context limit", re.IGNORECASE)
_UNKNOWN_MODEL_CODES = frozenset({"model_not_found", "not_found_error", "NotFoundError"})
_REPEATABLE_STATUSES = frozenset({408, 409, 425})


def failure(
    provider: str, status: int, codes: frozenset[str], message: str, headers: Mapping[str, str], api_key: str
) -> JobError:
    """The error for an answer with HTTP `status`.

    `codes` are the vendor's own words for the cause. A spent budget is no rate: waiting does not fill it, so it is
    permanent although it comes as 429. The vendor's message is passed on only where it speaks of the request.
    """
    if _spent(status, codes, message):
        return Permanent(f"The account at {provider} has no credit or quota left.", code="provider_quota_exhausted")
    if status in (401, 403) or codes & _LOCKED_CODES:
        return Permanent(f"{provider} does not accept the API key ({status}).", code="provider_unauthorized")
    if status == 429:  # Too Many Requests
        return RateLimited(f"{provider} asks to wait.", retry_after=retry_after(headers))
    if status >= 500 or status in _REPEATABLE_STATUSES:
        return Transient(
            f"{provider} failed ({status}).", code="provider_unavailable", retry_after=retry_after(headers)
        )
    if codes & _TOO_LONG_CODES or (status == 400 and _TOO_LONG.search(message)):
        return Permanent(f"The prompt does not fit {provider}'s model.", code="context_window_exceeded")
    if status == 404 and codes & _UNKNOWN_MODEL_CODES:
        return Permanent(f"{provider} has no such model, or not for this key.", code="model_not_found")
    said = message.replace(api_key, "[key]") if api_key else message
    return Permanent(f"{provider} refused the request ({status}): {said[:300]}", code="provider_rejected")


def unreachable(provider: str) -> Transient:
    """The connection could not be made or broke."""
    return Transient(f"{provider} cannot be reached.", code="provider_unreachable")


def timed_out(provider: str) -> Transient:
    """No answer in time."""
    return Transient(f"{provider} did not answer in time.", code="provider_timeout")


def malformed(provider: str) -> Transient:
    """An answer that is not in the vendor's own format, as when a gateway speaks in its place."""
    return Transient(f"{provider} gave an answer that cannot be read.", code="provider_malformed_response")


def _spent(status: int, codes: frozenset[str], message: str) -> bool:
    if status == 402 or codes & _SPENT_CODES:  # Payment Required
        return True
    if any(code.endswith(_SPENT_SUFFIXES) for code in codes):
        return True
    # Anthropic answers an empty prepaid balance as 400 invalid_request_error, told apart by its sentence alone.
    return status == 400 and "credit balance is too low" in message.lower()
