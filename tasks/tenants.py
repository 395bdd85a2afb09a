"""`tenant.provision` makes what a new tenant lives in; `tenant.compensate` undoes it all and says why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import select

from bus.events import announce
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.provisioning import given_up
from models.platform import User
from tenancy.database import tenant_scope
from tenancy.provisioning import Provisioner


@handles("tenant.provision")
def provision(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run the saga step by step; the welcome message is its last, a job of its own."""
    done = _provision(context) if context.tenant.state in {"provisioning", "failed"} else []
    if context.tenant.state == "active":
        announce(context, "tenant.provisioned", {"tenant": {"id": str(context.tenant_id), "name": context.tenant.name}})
        _welcome(context, payload)
    return {"tenant_id": str(context.tenant_id), "state": context.tenant.state, "steps": done}


@handles("tenant.compensate")
def compensate(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo a provisioning that was given up. One that was begun anew meanwhile is left alone.

    This is the only place that undoes: an attempt that ended knows neither whether it was the last nor whether another
    one has made the tenant since.
    """
    with closing(_saga(context)) as saga:
        reason = given_up(context.tenancy, context.tenant_id)
        undone = reason is not None and saga.compensate(reason)
    return {"tenant_id": str(context.tenant_id), "undone": undone, "reason": reason}


def _provision(context: JobContext) -> list[str]:
    with closing(_saga(context)) as saga:
        steps = saga.steps()
        for number, (name, step) in enumerate(steps):
            context.progress(number, len(steps), name)
            step()
            context.log.info("tenant.provisioning_step", step=name)
        context.progress(len(steps), len(steps), "active")
    return [name for name, _ in steps]


def _saga(context: JobContext) -> Provisioner:
    return Provisioner(context.settings, context.tenancy, context.tenant_id, context.confirm)


def _welcome(context: JobContext, payload: Mapping[str, Any]) -> None:
    with context.tenancy.platform.session(tenant_scope(context.tenant_id)) as session:
        email = session.scalar(select(User.email).where(User.id == payload["owner_id"]))
    if email is None:
        return
    name = context.tenant.name
    message = {
        "to": email,
        "subject": " ".join(f"Your workspace {name} is ready"[:200].split()),
        "text": f"Hello,\n\nthe workspace {name} is ready: its database and its bucket are its own.\n\nNexus\n",
    }
    context.submit("notification.deliver", message, key="welcome")
