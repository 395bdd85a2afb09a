"""What processes count and say of themselves, for `/metrics`: written by each process, read by whichever is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Identified, PlatformBase


class Reading(PlatformBase):
    """A counter or a histogram over all processes and for ever; `labels` stand in the order of its measure.

    `total` is the counter's value or the sum of what was observed, `buckets` counts each observation once.
    """

    __tablename__ = "readings"

    name: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[list[str]] = mapped_column(ARRAY(Text), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[float]
    buckets: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    updated_at: Mapped[datetime]


class Process(Identified, PlatformBase):
    """A process that lives, and its gauges as `[name, labels, value]`. One that has said nothing for a while is gone."""

    __tablename__ = "processes"

    name: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    gauges: Mapped[list[Any]] = mapped_column(JSONB)
    seen_at: Mapped[datetime]


class BudgetStanding(PlatformBase):
    """How far a tenant has used its budgets for language models, as of its last call. `used_share` is that of the fullest.

    From `valid_until` on, when the first of its periods ends, it says nothing any more.
    """

    __tablename__ = "llm_budget_standings"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    budgets: Mapped[int]
    exhausted: Mapped[int]
    used_share: Mapped[float]
    valid_until: Mapped[datetime | None]
    updated_at: Mapped[datetime]
