"""What tests and benchmarks do to a broker from outside, on Redis and RabbitMQ alike."""

from __future__ import annotations

from typing import Any

import redis
from amqp.exceptions import NotFound
from kombu import Connection

from jobs.kinds import QUEUES
from jobs.transport import PRIORITIES, is_redis


def flush(url: str) -> None:
    """Make it forget all messages. Redis forgets everything else with them."""
    if is_redis(url):
        with redis.Redis.from_url(url, single_connection_client=True) as client:
            client.flushall()
        return
    for queue in QUEUES:
        lose(url, queue)


def lose(url: str, queue: str) -> None:
    """Make it forget what waits in one queue."""
    if is_redis(url):
        with redis.Redis.from_url(url, single_connection_client=True) as client:
            client.delete(*_lists(queue))
        return
    with Connection(url, connect_timeout=5) as connection:
        channel: Any = connection.channel()
        try:
            channel.queue_purge(queue)
        except NotFound:
            return


def delete_queues(url: str) -> None:
    """Delete the jobs' queues themselves from RabbitMQ, as an operator might."""
    with Connection(url, connect_timeout=5) as connection:
        channel: Any = connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)


def waiting(url: str) -> int:
    """Messages that no worker has been given yet, in all queues of jobs."""
    if is_redis(url):
        with redis.Redis.from_url(url, single_connection_client=True) as client:
            lengths: list[Any] = [client.llen(name) for queue in QUEUES for name in _lists(queue)]
        return sum(lengths)
    return sum(_waiting_amqp(url, queue) for queue in QUEUES)


def _lists(queue: str) -> list[str]:
    """The lists of a queue, one for each priority, as kombu names them."""
    return [queue, *(f"{queue}\x06\x16{priority}" for priority in PRIORITIES if priority)]


def _waiting_amqp(url: str, queue: str) -> int:
    with Connection(url, connect_timeout=5) as connection:
        channel: Any = connection.channel()
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return 0
