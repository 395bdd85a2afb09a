"""The conveyor: a Celery application that carries ids, and the publisher that the dispatcher uses.

Celery's acknowledgements are off: the row's lease does their work, at two Redis commands per message instead of eight.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from celery import Celery
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.settings import Settings
from jobs.kinds import QUEUES
from jobs.messages import Item, Message

EPOCH_KEY = "nexus:epoch"
TICK_QUEUE = "default"


def celery_app(settings: Settings, backend: str = "disabled://") -> Celery:
    """The Celery application of every process that publishes, consumes or looks on."""
    broker = settings.broker
    app = Celery("nexus", broker=broker, backend=backend, set_as_current=False)
    redis = broker.startswith(("redis", "unix"))
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_create_missing_queues=False,
        task_default_queue=TICK_QUEUE,
        task_queues=[Queue(name, Exchange("nexus", type="direct"), routing_key=name) for name in QUEUES],
        task_publish_retry=False,
        task_send_sent_event=False,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=redis,
        worker_consumer="workers.consumer:BufferingConsumer",
        worker_send_task_events=True,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_soft_shutdown_timeout=30.0,
        worker_enable_soft_shutdown_on_idle=True,
        worker_max_tasks_per_child=20_000,
        worker_max_memory_per_child=500_000,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_redis_options() if redis else {"confirm_publish": True},
        timezone="UTC",
        enable_utc=True,
    )
    return app


def _redis_options() -> dict[str, Any]:
    return {
        "ack_emulation": False,
        "priority_steps": list(_PRIORITIES),
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }


_EXPRESS, _NORMAL = _PRIORITIES = (0, 9)
"""Redis lists that a queue has, the first one emptied first."""

_IMPATIENT = {
    "socket_timeout": 3,
    "socket_connect_timeout": 1,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "connect_retries_timeout": 0.5,
}
"""The dispatcher never waits for a broker: it has leases to watch. What cannot be sent goes back to the queue."""


class Publisher:
    """Sends messages over one kept connection. Used by the dispatcher's loop only."""

    def __init__(self, app: Celery):
        self._app = app
        self._has_priorities = app.conf.broker_url.startswith(("redis", "unix"))
        if self._has_priorities:
            app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_IMPATIENT}

    def publish(self, messages: Sequence[Message]) -> tuple[Item, ...]:
        """Send all that can be sent; returns the items of those that could not, when the broker is away."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer, _together(producer):
                for message in messages:
                    self._send(message, producer)
        except (OperationalError, OSError, RedisError):
            # Some may have gone out. Those claim their jobs, if they come first; the rest find them claimed.
            return tuple(item for message in messages for item in message.items)
        return ()

    def epoch_was_lost(self) -> bool:
        """Whether the broker forgot the mark we left in it, and with it our messages. Leaves the mark again.

        A broker that cannot be asked, or that is not Redis, answers no: stale dispatches are then found by their age.
        """
        if not self._app.conf.broker_url.startswith(("redis", "unix")):
            return False
        try:
            with self._app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                return bool(channel.client.set(EPOCH_KEY, str(uuid.uuid4()), nx=True))
        except (OperationalError, OSError, RedisError):
            return False

    def _send(self, message: Message, producer: Producer) -> None:
        first_id, attempt = message.items[0]
        single = len(message.items) == 1
        self._app.send_task(
            message.kind,
            args=[[[str(job_id), number] for job_id, number in message.items]],
            task_id=f"{first_id}.{attempt + 1}" if single else None,
            queue=message.queue,
            ignore_result=True,
            priority=(_EXPRESS if message.express else _NORMAL) if self._has_priorities else None,
            argsrepr=_shown(message),
            producer=producer,
        )


@contextmanager
def _together(producer: Producer) -> Iterator[None]:
    """Send what is published in the block to Redis in one pipeline: one round trip instead of one per message.

    kombu has no way to say so; its Redis channel asks `conn_or_acquire` for the client of each push, so for the length of
    the block that is the pipeline. Other transports send as they always do.
    """
    channel: Any = producer.channel
    if not hasattr(channel, "conn_or_acquire"):
        yield
        return
    with channel.conn_or_acquire() as client:
        pipeline = client.pipeline(transaction=False)
        channel.conn_or_acquire = lambda _client=None: nullcontext(pipeline)
        try:
            yield
        finally:
            del channel.conn_or_acquire
        pipeline.execute()


def _shown(message: Message) -> str:
    ids = ", ".join(str(job_id) for job_id, _ in message.items[:3])
    more = len(message.items) - 3
    return f"({ids}, and {more} more)" if more > 0 else f"({ids})"
