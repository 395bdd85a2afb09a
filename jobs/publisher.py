"""Sending messages to the broker: in batches, confirmed where the broker confirms, and never waiting for long.

What cannot be sent is handed back to the caller. Whether what was sent still waits can be asked (`Publisher.drained`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AMQPError, ChannelError, MessageNacked
from celery import Celery
from kombu.entity import TRANSIENT_DELIVERY_MODE  # type: ignore[attr-defined]
from kombu.exceptions import (  # type: ignore[attr-defined]  # the stubs are older than kombu 5.7
    BatchPublishError,
    OperationalError,
)
from redis.exceptions import RedisError

from jobs.messages import Item, Message
from jobs.transport import EXPRESS, NORMAL, is_redis

EPOCH_KEY = "nexus:epoch"

Producer = Any
"""kombu's, whose type stubs know neither its batches nor that a priority may be left out."""

_AWAY = (OperationalError, BatchPublishError, OSError, RedisError, AMQPError)
"""What a broker raises that cannot be reached, or will not take what it is given."""


_IMPATIENT = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "connect_retries_timeout": 0.5}
"""The dispatcher never waits for a broker: it has leases to watch. What cannot be sent goes back to the queue."""

_CONFIRM_SECONDS = 2.0
_IMPATIENT_REDIS = {**_IMPATIENT, "socket_timeout": 3, "socket_connect_timeout": 1}
_IMPATIENT_AMQP = {**_IMPATIENT, "connect_timeout": 1, "read_timeout": 2, "write_timeout": 2}


class Publisher:
    """Sends messages over one kept connection. Used by the dispatcher's loop only."""

    def __init__(self, app: Celery):
        self._app = app
        self._redis = is_redis(app.conf.broker_url)
        app.conf.broker_transport_options = {
            **app.conf.broker_transport_options,
            **(_IMPATIENT_REDIS if self._redis else _IMPATIENT_AMQP),
        }

    def publish(self, messages: Sequence[Message]) -> tuple[Item, ...]:
        """Send all that can be sent; returns the items of those that could not, when the broker is away."""
        try:
            with (
                self._producer() as producer,
                producer.batch() if self._redis else _confirmed(producer, len(messages)),
            ):
                for message in messages:
                    self._send(message, producer)
        except _AWAY:
            # Some may have gone out. Those claim their jobs, if they come first; the rest find them claimed.
            return tuple(item for message in messages for item in message.items)
        return ()

    def drained(self, queues: Collection[str]) -> list[str]:
        """Those of the queues in which no message waits: what was sent to them has been taken by a worker, or is lost.

        A broker that cannot be asked gives none.
        """
        try:
            with self._producer() as producer:
                return [queue for queue in queues if _waiting(producer, queue) == 0]
        except _AWAY:
            return []

    def epoch_was_lost(self) -> bool:
        """Whether Redis forgot the mark we left in it, and with it our messages. Leaves the mark again.

        A broker that cannot be asked, or that is not Redis, answers no: lost messages are then found by their age.
        """
        if not self._redis:
            return False
        try:
            with self._app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                return bool(channel.client.set(EPOCH_KEY, str(uuid.uuid4()), nx=True))
        except _AWAY:
            return False

    @contextmanager
    def _producer(self) -> Iterator[Producer]:
        """The kept connection. One that failed is dropped as it is: AMQP's farewell would wait for an answer."""
        with self._app.producer_pool.acquire(block=True) as producer:
            try:
                yield producer
            except BaseException:
                if not self._redis and producer.connection is not None:
                    producer.connection.collect()
                raise

    def _send(self, message: Message, producer: Producer) -> None:
        """As `Celery.send_task` would, at half its cost: it routes, signals and looks for a parent task each time."""
        first_id, attempt = message.items[0]
        single = len(message.items) == 1
        headers, properties, body, _ = self._app.amqp.as_task_v2(
            f"{first_id}.{attempt + 1}" if single else str(uuid.uuid4()),
            message.kind,
            args=([[str(job_id), number] for job_id, number in message.items],),
            ignore_result=True,
            argsrepr=_shown(message),
            kwargsrepr="{}",
        )
        producer.publish(
            body,
            routing_key=message.queue,
            serializer="json",
            delivery_mode=TRANSIENT_DELIVERY_MODE,
            headers=headers,
            priority=(EXPRESS if message.express else NORMAL) if self._redis else None,
            # Redis makes a list by pushing to it. On RabbitMQ a queue that somebody deleted is an error then, and the next
            # attempt, on a new connection, declares it again.
            declare=None if self._redis else [self._app.amqp.queues[message.queue]],
            mandatory=not self._redis,
            **properties,
        )


@contextmanager
def _confirmed(producer: Producer, messages: int) -> Iterator[None]:
    """Wait once for RabbitMQ's word on all `messages` that are published in the block, instead of once for each.

    A broker in a memory or disk alarm reads nothing, so no confirm comes: it counts as one that is away.
    """
    channel: Any = producer.channel
    confirms: _Confirms | None = getattr(channel, "nexus_confirms", None)
    if confirms is None:
        confirms = channel.nexus_confirms = _Confirms(channel)
    confirms.expect(messages)
    yield
    confirms.wait()


class _Confirms:
    """Publisher confirms of one channel: its n-th message has the delivery tag n (https://www.rabbitmq.com/docs/confirms)."""

    def __init__(self, channel: Any):
        self._channel = channel
        self._sent = 0
        self._open: set[int] = set()
        channel.events["basic_ack"].add(self._settle)
        channel.events["basic_nack"].add(self._refuse)
        channel.confirm_select()

    def expect(self, messages: int) -> None:
        """So many more are published next."""
        self._open.update(range(self._sent + 1, self._sent + messages + 1))
        self._sent += messages

    def wait(self) -> None:
        """Return when the broker has taken all; raise `OSError` when it has not in time, or `AMQPError`."""
        ends_at = time.monotonic() + _CONFIRM_SECONDS
        while self._open:
            left = ends_at - time.monotonic()
            if left <= 0 or self._channel.connection is None:
                raise TimeoutError("the broker did not confirm what was published")
            self._channel.connection.drain_events(timeout=left)

    def _settle(self, tag: int, multiple: bool) -> None:
        self._open = {other for other in self._open if other > tag} if multiple else self._open - {tag}

    def _refuse(self, tag: int, _multiple: bool) -> None:
        raise MessageNacked(f"the broker refused message {tag}")


def _waiting(producer: Producer, queue: str) -> int:
    """Messages in the queue that no worker has been given yet. A channel of its own, since a missing queue closes it."""
    kept: Any = producer.channel
    channel: Any = kept.connection.client.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError as error:
        if str(error.reply_code) != "404":
            raise
        return 0
    finally:
        channel.close()


def _shown(message: Message) -> str:
    ids = ", ".join(str(job_id) for job_id, _ in message.items[:3])
    more = len(message.items) - 3
    return f"({ids}, and {more} more)" if more > 0 else f"({ids})"
