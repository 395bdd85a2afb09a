"""Where a tenant's completions go: targets in their order, with sealed keys, and limits by the minute."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from flask import Response, jsonify
from flask_smorest import Blueprint

from domain.completions.config import LlmConfig, read_config
from domain.completions.routing import Target
from domain.destinations import parse_destination, parse_networks
from domain.errors import FieldError, InvalidPayload, NotFound, PreconditionFailed
from jobs.submit import submit
from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.database import Row
from tenancy.scopes import tenant_scope
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.jobs_response import accepted, new_job
from web.schemas.jobs import JobSchema
from web.schemas.llm import LlmConfigSchema, LlmConfigUpdateSchema

blueprint = Blueprint("llm_config", __name__, description="Language models: who answers")

_CONFIG: LiteralString = """
SELECT llm_provider, llm_key_sealed, llm_config_sealed, version FROM tenants WHERE id = %(id)s
"""

# `llm_provider` and `llm_key_sealed` hold the first target once more, for processes of the version before.
_CONFIGURE: LiteralString = """
UPDATE tenants SET llm_provider = %(provider)s, llm_key_sealed = %(key)s, llm_config_sealed = %(config)s, version = version + 1
 WHERE id = %(id)s AND version = %(version)s
RETURNING llm_provider, llm_key_sealed, llm_config_sealed, version
"""


@blueprint.route("/llm/config", methods=["GET"])
@can("llm_config:read")
@blueprint.response(200, LlmConfigSchema)
def show_config() -> Response:
    """Read who answers the tenant's completions. Of a key it shows the last four characters."""
    return _rendered(_row(tenancy(), tenant_id()))


@blueprint.route("/llm/config", methods=["PUT"])
@can("llm_config:update")
@blueprint.arguments(LlmConfigUpdateSchema)
@blueprint.response(200, LlmConfigSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def update_config(asked: dict[str, Any]) -> Response:
    """Choose who answers the tenant's completions, and who comes next when that one cannot.

    `nexus` uses the platform's keys. `openai`, `anthropic` and `openai_compatible` use the tenant's own, which are sealed; leave
    `api_key` out to keep the present one of that provider and address. The platform's keys are used only where `nexus` is named.
    Completions that begin a few seconds later use the new choice. `POST /llm/config/verify` tries it.
    """
    present = _row(tenancy(), tenant_id())
    check_if_match(present["version"])
    before = _opened(tenancy(), tenant_id(), present)
    asked_targets = [asked, *asked["fallbacks"]]
    targets = tuple(_target(each, _pointer(number), before) for number, each in enumerate(asked_targets))
    config = LlmConfig(targets, asked["requests_per_minute"], asked["tokens_per_minute"])
    first = targets[0]
    scope = tenant_scope(tenant_id())
    statement = audited(
        _CONFIGURE,
        {
            "id": tenant_id(), "version": present["version"], "provider": first.provider,
            "key": None if first.api_key is None else _sealed("llm_key_sealed", first.api_key),
            "config": _sealed("llm_config_sealed", json.dumps(config.kept())),
        },
        scope, "llm_config.updated", f"tenant:{tenant_id()}", before=_told(before),
        after={**_told(config), "key_replaced": any(each["api_key"] is not None for each in asked_targets)},
    )  # fmt: skip
    changed = tenancy().platform.fetch(*statement, scope)
    if not changed:
        raise PreconditionFailed("The tenant has changed since it was read; read it again.")
    return _rendered(changed[0])


@blueprint.route("/llm/config/verify", methods=["POST"])
@can("llm_config:update")
@blueprint.response(202, JobSchema, description="The job that tries the targets; its result tells of each.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def verify_config() -> Response:
    """Ask each target a small question, to see whether its key works. The calls are paid for and logged as any other."""
    return accepted(submit(tenancy(), new_job("completion.verify", {})))


def config_of(door: Tenancy, tenant: UUID) -> LlmConfig:
    """The tenant's configuration as it is now. Raises `NotFound`."""
    return _opened(door, tenant, _row(door, tenant))


def _row(door: Tenancy, tenant: UUID) -> Row:
    rows = door.platform.fetch(_CONFIG, {"id": tenant}, tenant_scope(tenant))
    if not rows:
        raise NotFound("There is no such tenant.")
    return rows[0]


def _opened(door: Tenancy, tenant: UUID, row: Row) -> LlmConfig:
    vault = door.vault(tenant)

    def opened(column: str) -> str | None:
        sealed = row[column]
        return None if sealed is None else vault.open(bytes(sealed), "tenants", column, tenant).decode()

    kept = json.loads(opened("llm_config_sealed") or "{}")
    return read_config(kept, row["llm_provider"], opened("llm_key_sealed"))


def _rendered(row: Row) -> Response:
    config = _opened(tenancy(), tenant_id(), row)
    first, *others = (_shown(target) for target in config.targets)
    body = {
        **first, "fallbacks": others, "requests_per_minute": config.requests_per_minute,
        "tokens_per_minute": config.tokens_per_minute,
    }  # fmt: skip
    return with_etag(jsonify(LlmConfigSchema().dump(body)), row["version"])


def _told(config: LlmConfig) -> dict[str, Any]:
    """The targets for the audit, without anything of a key."""
    first, *others = config.targets
    fallbacks = [{"provider": each.provider, "model": each.model, "base_url": each.base_url} for each in others]
    return {"provider": first.provider, **({"fallbacks": fallbacks} if fallbacks else {})}


def _shown(target: Target) -> dict[str, Any]:
    return {
        "provider": target.provider, "model": target.model, "base_url": target.base_url,
        "api_key_last_four": target.api_key and target.api_key[-4:],
    }  # fmt: skip


def _target(asked: Mapping[str, Any], pointer: str, before: LlmConfig) -> Target:
    """Judge one target. Raises `InvalidPayload` that points at what is too much or missing."""
    provider, base_url, api_key = asked["provider"], asked["base_url"], asked["api_key"]
    if provider == "openai_compatible":
        if base_url is None:
            raise _fault(f"{pointer}/base_url", "required", "A server of one's own needs its address.")
        parse_destination(base_url, parse_networks(tenancy().settings.llm_private_networks), f"{pointer}/base_url")
    elif base_url is not None:
        raise _fault(f"{pointer}/base_url", "not_allowed", "Only `openai_compatible` has an address of its own.")
    if provider == "nexus":
        if api_key is not None:
            raise _fault(f"{pointer}/api_key", "not_allowed", "The platform's own keys are used: leave `api_key` out.")
        return Target(provider, asked["model"])
    key = api_key or _present_key(before.targets, provider, base_url)
    if key is None and provider != "openai_compatible":
        raise _fault(f"{pointer}/api_key", "required", f"There is no key for {provider} yet.")
    return Target(provider, asked["model"], base_url, key)


def _present_key(targets: Sequence[Target], provider: str, base_url: str | None) -> str | None:
    """A key is kept for the very address that it was given for, and goes to no other."""
    return next((each.api_key for each in targets if (each.provider, each.base_url) == (provider, base_url)), None)


def _pointer(number: int) -> str:
    return "" if number == 0 else f"/fallbacks/{number - 1}"


def _sealed(column: str, text: str) -> bytes:
    return tenancy().vault(tenant_id()).seal(text.encode(), "tenants", column, tenant_id())


def _fault(pointer: str, code: str, detail: str) -> InvalidPayload:
    return InvalidPayload("The configuration is invalid.", errors=(FieldError(pointer, code, detail),))
