"""The vocabulary of errors: one base, one stable code per cause.

Raise these anywhere; `web.errors` turns them into problem+json and `workers` into a job's recorded error.
A message says what happened, to what, and what to do. `detail` is shown to clients, so it never holds a secret.
Source of the wire format: RFC 9457.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field. `pointer` is a JSON Pointer (RFC 6901) into the request."""

    pointer: str
    code: str
    detail: str


class NexusError(Exception):
    """Base of every error that has a meaning for a client.

    `code` is stable and documented; `status` is the HTTP status it is rendered with; `title` is the same for
    every occurrence; `detail` is about this one.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, errors: tuple[FieldError, ...] = (), retry_after: float | None = None):
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after = retry_after


class MalformedRequest(NexusError):
    code, status, title = "malformed_request", 400, "The request could not be read"


class InvalidSignature(NexusError):
    code, status, title = "invalid_signature", 400, "The signature does not match"


class Unauthenticated(NexusError):
    code, status, title = "unauthenticated", 401, "Valid credentials are required"


class InvalidCredentials(NexusError):
    code, status, title = "invalid_credentials", 401, "The email or the password is wrong"


class TokenExpired(NexusError):
    code, status, title = "token_expired", 401, "The access token has expired"


class MfaRequired(NexusError):
    code, status, title = "mfa_required", 401, "The login needs a code of the second factor"


class InvalidCode(NexusError):
    code, status, title = "invalid_code", 401, "The code of the second factor is wrong or was used before"


class TokenReused(NexusError):
    code, status, title = "refresh_token_reused", 401, "The refresh token was used before; its sessions are revoked"


class PlanQuotaExceeded(NexusError):
    code, status, title = "plan_quota_exceeded", 402, "A quota of the plan is used up"


class PermissionDenied(NexusError):
    code, status, title = "permission_denied", 403, "The caller lacks a permission"


class EmailUnverified(NexusError):
    code, status, title = "email_unverified", 403, "The account's email address is not verified"


class NotFound(NexusError):
    code, status, title = "not_found", 404, "There is no such object"


class RouteNotFound(NexusError):
    code, status, title = "route_not_found", 404, "There is no such route"


class MethodNotAllowed(NexusError):
    code, status, title = "method_not_allowed", 405, "The route does not know this method"


class RequestTimedOut(NexusError):
    code, status, title = "request_timeout", 408, "The request did not come in time"


class TenantRequired(NexusError):
    code, status, title = "tenant_required", 400, "The request must select a tenant"


class TenantUnavailable(NexusError):
    code, status, title = "tenant_unavailable", 409, "The tenant is not active"


class Conflict(NexusError):
    code, status, title = "conflict", 409, "The request conflicts with the present state"


class EmailTaken(NexusError):
    code, status, title = "email_taken", 409, "An account with this email exists"


class SystemRole(NexusError):
    code, status, title = "system_role", 409, "System roles cannot be changed"


class RoleInUse(NexusError):
    code, status, title = "role_in_use", 409, "Members or groups hold the role"


class GroupInUse(NexusError):
    code, status, title = "group_in_use", 409, "Other groups stand below the group"


class GroupCycle(NexusError):
    code, status, title = "group_cycle", 409, "A group cannot stand below itself"


class PermissionInUse(NexusError):
    code, status, title = "permission_in_use", 409, "Roles hold the permission"


class AlreadyMember(NexusError):
    code, status, title = "already_member", 409, "The account is a member of the tenant"


class AlreadyInvited(NexusError):
    code, status, title = "already_invited", 409, "An invitation to this address is pending"


class LastOwner(NexusError):
    code, status, title = "last_owner", 409, "A tenant keeps at least one owner"


class UniqueKeyTaken(NexusError):
    code, status, title = "unique_key_taken", 409, "A live job holds this unique key"


class IllegalTransition(NexusError):
    code, status, title = "illegal_transition", 409, "The object's state does not allow this"


class QuotaExceeded(NexusError):
    code, status, title = "quota_exceeded", 409, "A quota of the tenant is used up"


class IdempotencyInProgress(NexusError):
    code, status, title = "idempotency_in_progress", 409, "The first request with this key has not finished"


class IdempotencyMismatch(NexusError):
    code, status, title = "idempotency_mismatch", 422, "This idempotency key was used with another payload"


class PreconditionFailed(NexusError):
    code, status, title = "precondition_failed", 412, "The object has changed since it was read"


class PayloadTooLarge(NexusError):
    code, status, title = "payload_too_large", 413, "The request body is too large"


class UnsupportedMediaType(NexusError):
    code, status, title = "unsupported_media_type", 415, "The body's content type is not accepted here"


class InvalidCursor(NexusError):
    code, status, title = "invalid_cursor", 422, "The cursor does not belong to this list"


class InvalidPayload(NexusError):
    code, status, title = "invalid_payload", 422, "The payload is invalid"


class InvalidLink(NexusError):
    code, status, title = "invalid_link", 422, "The link is not valid, has expired or was used"


class UnknownKind(NexusError):
    code, status, title = "unknown_kind", 422, "There is no such job kind"


class PreconditionRequired(NexusError):
    code, status, title = "precondition_required", 428, "If-Match is required"


class TooManyRequests(NexusError):
    code, status, title = "rate_limited", 429, "Too many requests"


class LoginThrottled(NexusError):
    code, status, title = "login_throttled", 429, "Too many failed logins"


class SearchFailed(NexusError):
    code, status, title = "search_failed", 502, "No source could answer the search"


class NotConfigured(NexusError):
    code, status, title = "not_configured", 503, "The operator has not configured this"


class TenantUpgrading(NexusError):
    code, status, title = "tenant_upgrading", 503, "The tenant's database has yet to be migrated for this"


class ServiceUnavailable(NexusError):
    code, status, title = "service_unavailable", 503, "A part of the platform is not reachable"


# --- what a job's handler may raise; anything else is a bug, recorded with its traceback and retried by policy


class JobError(NexusError):
    """Base of a handler's declared outcomes. `code` may be narrowed per occurrence."""

    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, code: str | None = None, retry_after: float | None = None):
        super().__init__(detail, retry_after=retry_after)
        self.job_code = code or self.code


class Transient(JobError):
    """It may work later: a connection cut, a provider's 5xx, a tenant database that is down."""

    code, title, retryable = "transient", "A dependency failed for now", True


class RateLimited(Transient):
    """A provider asked to wait. `retry_after` (seconds) is a minimum for the next attempt."""

    code, title = "provider_rate_limited", "A provider asked to wait"


class NotNow(Transient):
    """The job cannot begin at present, through no fault of its own: it waits without using up an attempt."""

    code, title = "not_now", "The job has to wait"


class Permanent(JobError):
    """It will never work as asked: fail now, do not retry."""

    code, title = "permanent", "The job cannot succeed"


class UnknownService(Permanent):
    """A job called a service that nobody has registered."""

    code, title = "unknown_service", "There is no such service"


class ServiceDenied(Permanent):
    """A job called a service for a principal who may not use it."""

    code, title = "service_denied", "The principal may not use the service"


class InvalidArguments(Permanent):
    """A job called a service with arguments that do not fit its schema."""

    code, title = "invalid_arguments", "The service's arguments are invalid"


class UnknownOutcome(Permanent):
    """A call that is not idempotent timed out: it may have happened, so it is not repeated blindly."""

    code, title = "outcome_unknown", "It is not known whether the provider acted"


class DependencyFailed(Permanent):
    """The job waited for others to succeed, and one did not: it is cancelled without having run."""

    code, title = "dependency_failed", "A job that this one waited for did not succeed"


class Cancelled(JobError):
    """Raised by a handler (through its context) when the job was asked to stop."""

    code, title = "cancelled", "The job was cancelled"


class DeadlineExceeded(Transient):
    code, title = "deadline_exceeded", "The job ran past its deadline"
