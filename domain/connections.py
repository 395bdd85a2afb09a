"""How many connections to the server a platform may open at most: processes × databases that each keeps open × its pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

OWNERS = 4
"""Connections of the owner's account: preparing, and provisioning in two workers at a time."""


class Sizes(Protocol):
    """What an operator sets, by the names of `config.settings.Settings`."""

    @property
    def web_workers(self) -> int: ...
    @property
    def worker_io_concurrency(self) -> int: ...
    @property
    def worker_cpu_concurrency(self) -> int: ...
    @property
    def platform_pool_size(self) -> int: ...
    @property
    def tenant_engine_limit(self) -> int: ...
    @property
    def tenant_pool_size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Program:
    """Alike processes of a node: each may have `platform` connections, and `per_database` to each tenant's database."""

    name: str
    processes: int
    platform: int
    per_database: int = 0


def programs(sizes: Sizes) -> tuple[Program, ...]:
    """The programs of a node that open connections. The API's greenlets have no bound of their own, so the pool is theirs;
    a process of worker-cpu runs one job at a time, so it needs one connection to a database.
    """
    platform, pool = sizes.platform_pool_size, sizes.tenant_pool_size
    return (
        Program("web", sizes.web_workers, platform, pool),
        Program("dispatcher", 1, platform + 1),  # its lock stands on a connection of its own
        Program("worker-io", 1, platform, min(pool, sizes.worker_io_concurrency)),
        Program("worker-cpu", sizes.worker_cpu_concurrency, platform, 1),
        Program("the parent of worker-cpu", 1, platform),
    )


def needed(sizes: Sizes) -> int:
    """Connections that a node may open at most, the owner's included."""
    return _with(sizes, sizes.tenant_engine_limit)


def fitting(sizes: Sizes, limit: int) -> int:
    """The most tenant databases that each process may keep open for all to stay within `limit`; 0 if that does not help."""
    none = _with(sizes, 0)
    return max(0, (limit - none) // (_with(sizes, 1) - none))


def _with(sizes: Sizes, databases: int) -> int:
    return OWNERS + sum(each.processes * (each.platform + databases * each.per_database) for each in programs(sizes))
