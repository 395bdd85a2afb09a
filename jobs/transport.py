"""The conveyor: the Celery application that carries ids. What the dispatcher sends with is in `jobs.publisher`.

It runs on Redis and on RabbitMQ. Nothing is asked of either but speed: the row's lease does the work of acknowledgements,
and what a broker loses is found by looking (`Publisher.drained`). So on Redis acknowledgements are off, at two commands per
message instead of eight. On RabbitMQ a message is acknowledged when its jobs are done, only because that bounds what a
worker takes to its free slots; messages are not written to disk.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from config.settings import Settings
from jobs.kinds import QUEUES

TICK_QUEUE = "default"


def celery_app(settings: Settings, backend: str = "disabled://") -> Celery:
    """The Celery application of every process that publishes, consumes or looks on."""
    broker = settings.broker
    app = Celery("nexus", broker=broker, backend=backend, set_as_current=False)
    redis = is_redis(broker)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=not redis,
        task_create_missing_queues=False,
        task_default_queue=TICK_QUEUE,
        task_default_delivery_mode="transient",
        task_queues=[_queue(name, settings) for name in QUEUES],
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
        # RabbitMQ closes the channel of a consumer that has not acknowledged a message for half an hour. Celery would end the
        # worker, and with it the job.
        broker_channel_error_retry=not redis,
        broker_heartbeat=20,
        broker_transport_options=_redis_options() if redis else {},
        timezone="UTC",
        enable_utc=True,
    )
    return app


def _queue(name: str, settings: Settings) -> Queue:
    """A queue of jobs. Its type is always said: a virtual host's own default would decide it otherwise. Redis knows no types."""
    arguments = {"x-queue-type": settings.broker_queues}
    return Queue(name, Exchange("nexus", type="direct"), routing_key=name, queue_arguments=arguments)


def _redis_options() -> dict[str, Any]:
    return {
        "ack_emulation": False,
        "priority_steps": list(PRIORITIES),
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }


EXPRESS, NORMAL = PRIORITIES = (0, 9)
"""Redis lists that a queue has, the first one emptied first."""


def is_redis(url: str) -> bool:
    """Whether the broker's address is one of Redis; else it is one of RabbitMQ."""
    return url.startswith(("redis", "unix"))
