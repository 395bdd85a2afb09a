"""Fanning a broadcast out: a batch of recipients at a time, resumable, and stopped between two batches by a pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import Cancelled, NotNow
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Broadcast, Recipient
from models.tenant.audiences import audience

BATCH = 500
PAUSE_SECONDS = 3.0
"""How soon a paused broadcast notices that it goes on; it may take twice as long."""
NOBODY = UUID(int=0)


@handles("notification.broadcast")
def fan_out(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Submit a `notification.batch` for every 500 recipients who were there when the broadcast was made.

    Killed anywhere, it goes on where it was. A batch's end is written down before the batch is submitted, so that the one who goes
    on submits that same batch and no other: batches never overlap.
    """
    while True:
        with context.session() as session:
            broadcast = row_of(session, context, payload, context.job_id, to_change=True)
            obey(broadcast)
            through, count = _next(session, broadcast, payload)
            broadcast.handing = through
        if through is None:
            break
        after = broadcast.through or NOBODY
        batch = {"broadcast_id": str(broadcast.id), "after": str(after), "through": str(through)}
        context.submit("notification.batch", batch, key=f"{after}:{through}")
        with context.session() as session:
            session.execute(
                update(Broadcast)
                .where(*_is(broadcast), Broadcast.through.is_not_distinct_from(broadcast.through))
                .values(through=through, handing=None, fanned_out=Broadcast.fanned_out + count, updated_at=func.now())
            )
        done = broadcast.fanned_out + count
        context.progress(done, max(done, broadcast.total), "recipients handed to batches")
    with context.session() as session:  # recipients may have gone since they were counted
        session.execute(update(Broadcast).where(*_is(broadcast)).values(total=Broadcast.fanned_out))
    return {"broadcast_id": str(broadcast.id), "recipients": broadcast.fanned_out}


def row_of(
    session: Session,
    context: JobContext,
    payload: Mapping[str, Any],
    broadcast_id: UUID,
    *,
    to_change: bool = False,
) -> Broadcast:
    """The broadcast's row, made here if the request that asked for it died before it could."""
    row = {
        "tenant_id": context.tenant_id, "id": broadcast_id, "name": payload["name"], "channel": payload["channel"],
        "category": payload["category"], "total": 0,
    }  # fmt: skip
    session.execute(insert(Broadcast).values(row).on_conflict_do_nothing())
    return session.get_one(
        Broadcast, (context.tenant_id, broadcast_id), with_for_update={"key_share": True} if to_change else None
    )


def obey(broadcast: Broadcast) -> None:
    """Raise `Cancelled` or `NotNow` where the broadcast shall not go on."""
    if broadcast.state == "cancelled":
        raise Cancelled("The broadcast was cancelled.")
    if broadcast.state == "paused":
        raise NotNow("The broadcast is paused.", code="broadcast_paused", retry_after=PAUSE_SECONDS)


def _next(session: Session, broadcast: Broadcast, payload: Mapping[str, Any]) -> tuple[UUID | None, int]:
    """The last recipient of the next batch and how many are in it; None and 0 when all are handed over.

    It goes by ids, and those who came later than the broadcast are not among them.
    """
    conditions = [
        *audience(broadcast.tenant_id, payload["channel"], payload["audience"]),
        Recipient.id > (broadcast.through or NOBODY), Recipient.created_at <= broadcast.created_at,
    ]  # fmt: skip
    if broadcast.handing is not None:
        within = select(func.count()).select_from(Recipient).where(*conditions, Recipient.id <= broadcast.handing)
        return broadcast.handing, session.scalar(within) or 0
    found = session.scalars(select(Recipient.id).where(*conditions).order_by(Recipient.id).limit(BATCH)).all()
    return (found[-1], len(found)) if found else (None, 0)


def _is(broadcast: Broadcast) -> tuple[Any, Any]:
    return Broadcast.tenant_id == broadcast.tenant_id, Broadcast.id == broadcast.id
