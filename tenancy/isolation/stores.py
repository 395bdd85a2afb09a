"""What a tenant tries on others outside the databases: their places in the object store, and what is sealed for them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from domain.errors import Permanent
from providers.storage import Bucket
from tenancy.directory import BucketAddress, TenantRecord
from tenancy.vault import SealBroken, Vault

LISTED = 1000
"""Objects of the tenant that are looked at."""


def overlapping(own: BucketAddress, others: Iterable[BucketAddress]) -> list[str]:
    """Gaps: places of others that lie in the tenant's, or the tenant's in theirs."""
    mine = _place(own)
    return [
        "the place in the object store is shared with another tenant"
        for theirs in map(_place, others)
        if mine[: len(theirs)] == theirs or theirs[: len(mine)] == mine
    ]


def climb(bucket: Bucket, others: Iterable[BucketAddress], mark: str) -> list[str]:
    """Gaps: keys that lead out of the tenant's place to the mark that each tenant's bucket holds, or were listed so."""
    keys = [f"../{_last(other)}/{mark}" for other in others] or [f"../{mark}"]
    gaps = [f"the key {key.partition('/')[0]}/… led out of the bucket" for key in keys if _reads(bucket, key)]
    listed = [each.key for each in islice(bucket.list(), LISTED)]
    return gaps + [f"the key {key} was listed" for key in listed if key.startswith(("/", "../"))]


def unseal(vault: Vault, others: Iterable[tuple[TenantRecord, bytes]]) -> list[str]:
    """Gaps: sealed values of others that the tenant's key opens, also if it claims to be of their place."""
    gaps = []
    for record, sealed in others:
        for keys in (vault, Vault(record.id, vault.keys)):
            try:
                keys.open(sealed, "tenants", "dsn_sealed", record.id)
            except SealBroken:
                continue
            gaps.append("a value that was sealed for another tenant opened")
    return gaps


def _place(address: BucketAddress) -> tuple[str, ...]:
    return (address.endpoint or "", address.name, *filter(None, address.prefix.split("/")))


def _last(address: BucketAddress) -> str:
    return address.prefix.rpartition("/")[2] or address.name


def _reads(bucket: Bucket, key: str) -> bool:
    try:
        bucket.get(key)
    except Permanent:
        return False
    return True
