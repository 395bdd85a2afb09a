"""The service broker: a function under a name, which any handler calls without importing the room that has it.

    register("get_completion", get_completion, "completion:create", CompletionArgumentsSchema)
    call(context, "get_completion", prompt="…")

A call runs in the caller's job and tenant: no argument can name another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError

from domain.errors import InvalidArguments, ServiceDenied, UnknownService
from domain.identity.permissions import ALL
from jobs.context import JobContext
from jobs.submit import field_errors

Function = Callable[..., Any]
"""Takes the context and the loaded arguments by name."""


@dataclass(frozen=True, slots=True)
class Service:
    """A registered function. `permission` is asked of the job's principal at every call."""

    name: str
    function: Function
    permission: str
    schema: type[Schema]


SERVICES: dict[str, Service] = {}


def register(name: str, function: Function, permission: str, schema: type[Schema]) -> None:
    """Offer `function` under `name`. Raises `LookupError` if the name is taken or the permission does not exist."""
    if name in SERVICES or permission not in ALL:
        raise LookupError(f"the service {name} is registered already, or {permission} is not in the catalog")
    SERVICES[name] = Service(name, function, permission, schema)


def call(context: JobContext, name: str, /, **arguments: Any) -> Any:
    """Call a service in the context's tenant and return what it returns.

    Raises `UnknownService`, `ServiceDenied` (the job's principal lacks the permission; jobs of the platform itself need none),
    `InvalidArguments`, and what the service raises. All three end the job: repeating the call would not help.
    """
    service = SERVICES.get(name)
    if service is None:
        raise UnknownService(f"There is no service {name!r}.")
    who = context.principal
    if who.user_id is not None and not who.may(service.permission):
        raise ServiceDenied(f"The service {name} needs the permission {service.permission}.")
    try:
        loaded = service.schema().load(arguments)
    except ValidationError as error:
        faults = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in field_errors(error.messages))
        raise InvalidArguments(f"The arguments do not fit the service {name}: {faults}") from None
    return service.function(context, **loaded)
