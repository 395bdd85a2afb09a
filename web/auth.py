"""Who may call a route. Every view carries exactly one of `can`, `authenticated`, `operator` and `public`.

Put the decorator directly under `@blueprint.route`, above `arguments`, so that nothing of a request is looked at before
its caller is known. Authentication and authorization together cost one round trip to the platform database: what it
reads holds now, so a revoked session, key or permission ends at the next request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar
from uuid import UUID

import structlog
from flask import g, request

from domain.errors import (
    EmailUnverified,
    MalformedRequest,
    NexusError,
    NotFound,
    PermissionDenied,
    TenantRequired,
    TenantUnavailable,
    Unauthenticated,
)
from domain.identity.api_keys import PREFIX, parse_api_key
from domain.identity.permissions import ALL
from domain.identity.principals import Principal
from domain.ids import parse_id
from tenancy.audit import current_origin, set_origin
from tenancy.identity.principals import Caller, of_api_key, of_session
from web import tenant_limits, tokens, tracing
from web.context import principal, tenancy

P = ParamSpec("P")
R = TypeVar("R")

TENANT_HEADERS = ("X-Project-ID", "X-Tenant-ID")
"""They mean the same. They select among the caller's memberships and grant nothing."""

ACTIVE = frozenset({"active"})
READABLE = frozenset({"provisioning", "active", "suspended", "migrating", "failed", "deleting"})
"""For routes that must also answer for a tenant that is being made, mended or removed."""

_NO_TENANT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Access:
    """What a view asks of its caller. `permission` is set for the kind `permission` only."""

    kind: Literal["permission", "authenticated", "operator", "public"]
    permission: str | None = None

    @property
    def needs_credentials(self) -> bool:
        """Whether OpenAPI shows a security requirement and 401."""
        return self.kind != "public"

    @property
    def needs_tenant(self) -> bool:
        """Whether a tenant must be selected: OpenAPI shows the header, 403, 404 and 409."""
        return self.kind == "permission"


def can(permission: str, *, states: frozenset[str] = ACTIVE) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The caller must hold `permission` in the selected tenant, which must be in one of `states`.

    The tenant is the one in the path where the route has a `tenant_id`, else the one of the headers, else the one that
    the token or the API key is bound to. Raises, in this order: `Unauthenticated`, `TenantRequired`, `NotFound` (the
    caller is no member), `PermissionDenied`, `TenantUnavailable`.
    """
    if permission not in ALL:
        raise LookupError(f"no permission {permission!r} in the catalog")

    def enforce() -> None:
        caller = _identify()
        if caller.tenant_state is None:
            raise (
                TenantRequired("Select a tenant with the header X-Project-ID.") if caller.asked is None else NotFound()
            )
        if not caller.principal.may(permission):
            raise PermissionDenied(f"The permission {permission} is missing.")
        if caller.tenant_state not in states:
            raise TenantUnavailable(f"The tenant is {caller.tenant_state}.")

    return _guard(Access("permission", permission), enforce)


def authenticated(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone who is signed in, with or without a tenant. A tenant that the headers name is checked all the same."""

    def enforce() -> None:
        _identify()

    return _guard(Access("authenticated"), enforce)(view)


def operator(view: Callable[P, R]) -> Callable[P, R]:
    """A person who runs the platform. API keys never do: they belong to a tenant."""

    def enforce() -> None:
        if not _identify().principal.is_operator:
            raise PermissionDenied("Only an operator of the platform may do this.")

    return _guard(Access("operator"), enforce)(view)


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone. Credentials are not looked at, and `g.principal` stays unset."""
    return _guard(Access("public"), lambda: None)(view)


def access_of(view: Callable[..., Any], method: str) -> Access | None:
    """What a registered view function asks for that method; None if nobody decided, which a test forbids."""
    view_class = getattr(view, "view_class", None)
    function = view if view_class is None else getattr(view_class, method.lower(), None)
    access: Access | None = getattr(function, "_access", None)
    return access


def signed_in_user() -> tuple[UUID, UUID]:
    """User and session of a request made by a person. Raises `PermissionDenied` for an API key."""
    who = principal()
    if who.user_id is None or who.session_id is None:
        raise PermissionDenied("An API key cannot do this; sign in as a user.")
    return who.user_id, who.session_id


def require_verified_email() -> None:
    """Hold back who has not shown that their address is theirs, where the platform asks for it. Raises `EmailUnverified`."""
    if tenancy().settings.verification_required and not principal().email_verified:
        raise EmailUnverified("Open the link that was mailed to you, or ask for another one.")


def limit_subject() -> str | None:
    """Whom a rate limit counts for before the view's guard has run, without a round trip; None means the address.

    A token counts only if its signature holds. An API key counts as itself, secret included, so that nobody uses up
    another key's allowance by naming it.
    """
    try:
        credential = _bearer()
        if not credential.startswith(PREFIX):
            return f"user:{tokens.verify(credential).user_id}"
    except NexusError:
        return None
    key = parse_api_key(credential)
    return None if key is None else f"key:{key.key_id}:{key.secret_hash.hex()[:16]}"


def _guard(access: Access, enforce: Callable[[], None]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        if hasattr(view, "_access"):
            raise TypeError(f"{view.__name__} already says who may call it")

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            enforce()
            return view(*args, **kwargs)

        vars(guarded)["_access"] = access  # read back by `access_of`
        return guarded

    return decorate


def _identify() -> Caller:
    caller = _caller(_selected_tenant())
    who: Principal = caller.principal
    tenant_limits.count(who.tenant_id)
    g.principal = who
    tracing.tell_tenant(who.tenant_id)
    set_origin(replace(current_origin(), actor=who.subject, user_id=who.user_id))
    structlog.contextvars.bind_contextvars(
        principal=who.subject, tenant_id=None if who.tenant_id is None else str(who.tenant_id)
    )
    return caller


def _caller(selected: UUID | None) -> Caller:
    """Credentials are judged before the tenant, so that a stranger learns nothing about tenants."""
    credential = _bearer()
    platform = tenancy().platform
    if credential.startswith(PREFIX):
        key = parse_api_key(credential)
        caller = None if key is None else of_api_key(platform, key)
        bound = None if key is None else key.tenant_id
    else:
        claims = tokens.verify(credential)
        bound = claims.tenant_id
        caller = of_session(platform, claims.user_id, claims.session_id, selected or bound)
    if caller is None:
        raise Unauthenticated("The credentials are unknown, expired or revoked.")
    refused = bound is not None and selected is not None and selected != bound
    if refused or (selected is not None and caller.tenant_state is None):
        raise NotFound("There is no such tenant, or the caller is no member of it.")
    return caller


def _bearer() -> str:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("Send an access token or an API key as `Authorization: Bearer …`.")
    return credential


def _selected_tenant() -> UUID | None:
    """The tenant that path and headers agree on. What is no id selects a tenant that nobody is a member of."""
    headers = {value.strip().lower() for name in TENANT_HEADERS if (value := request.headers.get(name)) is not None}
    if len(headers) > 1:
        raise MalformedRequest(f"{' and '.join(TENANT_HEADERS)} name different tenants; send one of them.")
    path = (request.view_args or {}).get("tenant_id")
    sent = headers if path is None else headers | {str(path).lower()}
    if not sent:
        return None
    return (parse_id(sent.pop()) if len(sent) == 1 else None) or _NO_TENANT
