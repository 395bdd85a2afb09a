"""One notification to several people and channels: each address gets a message, and each message a job of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Recipient, RecipientDevice

_CARRIED = ("subject", "text", "html", "template", "template_version", "data", "locale", "category", "critical")


@handles("notification.send")
def send(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Submit the messages, each once however often this runs. People without an address are named in `skipped`."""
    people, devices = _people(context, payload["recipients"])
    messages: list[dict[str, str]] = []
    skipped: list[dict[str, str]] = []
    channels = list(dict.fromkeys(payload["channels"]))
    for name in dict.fromkeys(payload["recipients"]):
        person = people.get(name)
        for channel in channels:
            targets = [] if person is None else list(_targets(person, channel, devices.get(person.id, ())))
            if person is None or not targets:
                why = "recipient_unknown" if person is None else "no_address"
                skipped.append({"recipient": name, "channel": channel, "reason": why})
                continue
            for target in targets:
                message_id = _submit(context, payload, person, channel, target)
                messages.append({"id": str(message_id), "recipient": name, "channel": channel})
        context.progress(len(messages), None, "messages")
    return {"messages": messages, "skipped": skipped}


def _submit(context: JobContext, payload: Mapping[str, Any], person: Recipient, channel: str, target: str) -> UUID:
    said = {name: payload[name] for name in _CARRIED}
    if channel != "email":
        said["html"] = None
    message = {
        **said, "channel": channel, "to": target, "recipient_id": str(person.id), "notification_id": str(context.job_id)
    }  # fmt: skip
    return context.submit("notification.deliver", message, key=f"{person.id}:{channel}:{target}")


def _people(
    context: JobContext, names: Sequence[str]
) -> tuple[dict[str, Recipient], dict[UUID, list[RecipientDevice]]]:
    with context.session() as session:
        people = session.scalars(
            select(Recipient).where(Recipient.tenant_id == context.tenant_id, Recipient.external_id.in_(names))
        ).all()
        rows = session.scalars(
            select(RecipientDevice).where(
                RecipientDevice.tenant_id == context.tenant_id, RecipientDevice.gone_at.is_(None),
                RecipientDevice.recipient_id.in_([each.id for each in people]),
            )
        ).all()  # fmt: skip
    devices: dict[UUID, list[RecipientDevice]] = {}
    for row in rows:
        devices.setdefault(row.recipient_id, []).append(row)
    return {each.external_id: each for each in people}, devices


def _targets(person: Recipient, channel: str, devices: Sequence[RecipientDevice]) -> Iterator[str]:
    if channel == "push":
        yield from (str(device.id) for device in devices)
        return
    address = {"email": person.email, "sms": person.phone, "in_app": person.external_id}[channel]
    if address is not None:
        yield address
