"""The service broker: who may call what, with which arguments, in which tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from marshmallow import Schema, fields

import tasks
from bus.services import SERVICES, call, register
from domain.errors import InvalidArguments, Permanent, ServiceDenied, UnknownService
from domain.identity.principals import Principal
from jobs.context import JobContext

tasks.load()


class EchoSchema(Schema):
    text = fields.String(required=True)
    times = fields.Integer(load_default=1)


def echo(context: JobContext, text: str, times: int) -> tuple[UUID, str]:
    return context.tenant_id, text * times


@pytest.fixture
def service() -> Iterator[str]:
    """A service for who may create documents."""
    register("test.echo", echo, "document:create", EchoSchema)
    yield "test.echo"
    del SERVICES["test.echo"]


@pytest.fixture
def as_user(
    make_context: Callable[..., tuple[JobContext, Mapping[str, Any]]], pooled_tenant: UUID, user: UUID
) -> Callable[..., JobContext]:
    """A job of a user with these permissions."""

    def make(*permissions: str) -> JobContext:
        who = Principal(f"user:{user}", user, pooled_tenant, frozenset(permissions))
        context, _ = make_context("system.ping", pooled_tenant, {})
        return replace(context, principal=who)

    return make


def test_a_service_runs_in_the_callers_tenant(
    service: str, as_user: Callable[..., JobContext], pooled_tenant: UUID
) -> None:
    context = as_user("document:create")
    assert call(context, service, text="ab", times=2) == (pooled_tenant, "abab")
    assert call(context, service, text="ab") == (pooled_tenant, "ab")


def test_unknown_denied_and_invalid_are_three_errors(service: str, as_user: Callable[..., JobContext]) -> None:
    allowed, other = as_user("document:create"), as_user("document:read")
    with pytest.raises(UnknownService):
        call(allowed, "test.nothing", text="x")
    with pytest.raises(ServiceDenied, match="document:create"):
        call(other, service, text="x")
    for arguments in ({}, {"text": 5}, {"text": "x", "tenant_id": "other"}, {"text": "x", "context": None}):
        with pytest.raises(InvalidArguments, match="/"):
            call(allowed, service, **arguments)
    codes = {error.code for error in (UnknownService, ServiceDenied, InvalidArguments)}
    assert len(codes) == 3
    assert all(issubclass(error, Permanent) for error in (UnknownService, ServiceDenied, InvalidArguments))


def test_one_who_is_denied_learns_nothing_about_the_arguments(service: str, as_user: Callable[..., JobContext]) -> None:
    with pytest.raises(ServiceDenied):
        call(as_user(), service, nonsense=1)


def test_the_platforms_own_jobs_need_no_permission(
    service: str, make_context: Callable[..., tuple[JobContext, Mapping[str, Any]]], pooled_tenant: UUID
) -> None:
    context, _ = make_context("system.ping", pooled_tenant, {})
    assert call(context, service, text="x") == (pooled_tenant, "x")


def test_a_name_is_taken_once_and_the_permission_must_exist(service: str) -> None:
    with pytest.raises(LookupError):
        register(service, echo, "document:create", EchoSchema)
    with pytest.raises(LookupError):
        register("test.other", echo, "document:fly", EchoSchema)


def test_get_completion_is_one_line_for_any_handler(as_user: Callable[..., JobContext]) -> None:
    assert isinstance(call(as_user("completion:create"), "get_completion", prompt="Say hello."), str)
    with pytest.raises(ServiceDenied):
        call(as_user("search:create"), "get_completion", prompt="Say hello.")
    with pytest.raises(InvalidArguments):
        call(as_user("completion:create"), "get_completion", prompt="")
