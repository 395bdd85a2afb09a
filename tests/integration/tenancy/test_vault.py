"""A sealed value opens at its own place with its own key, and nowhere else."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import new_id
from tenancy.vault import MasterRing, SealBroken, Vault, new_data_key

TENANT, ROW = new_id(), new_id()
VAULT = Vault(TENANT, {1: new_data_key()})


@given(st.binary(max_size=2000))
def test_what_is_sealed_opens_again_and_does_not_show(plain: bytes) -> None:
    sealed = VAULT.seal(plain, "jobs", "payload_sealed", ROW)
    assert VAULT.open(sealed, "jobs", "payload_sealed", ROW) == plain
    assert len(plain) < 8 or plain not in sealed


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [("jobs", "result_sealed", ROW), ("tenants", "payload_sealed", ROW), ("jobs", "payload_sealed", new_id())],
)
def test_a_sealed_value_moved_elsewhere_does_not_open(table: str, column: str, row: object) -> None:
    sealed = VAULT.seal(b"secret", "jobs", "payload_sealed", ROW)
    with pytest.raises(SealBroken):
        VAULT.open(sealed, table, column, row)  # type: ignore[arg-type]


def test_another_tenant_with_the_same_key_cannot_open_it() -> None:
    other = Vault(new_id(), VAULT.keys)
    with pytest.raises(SealBroken):
        other.open(VAULT.seal(b"secret", "jobs", "payload_sealed", ROW), "jobs", "payload_sealed", ROW)


@given(st.integers(0, 60), st.integers(1, 255))
def test_one_changed_byte_is_noticed(position: int, change: int) -> None:
    sealed = bytearray(VAULT.seal(b"a secret of some length, forty bytes....", "t", "c", ROW))
    sealed[position % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        VAULT.open(bytes(sealed), "t", "c", ROW)


def test_old_keys_open_and_the_newest_seals() -> None:
    first = Vault(TENANT, {1: new_data_key()})
    both = Vault(TENANT, {**first.keys, 2: new_data_key()})
    assert both.open(first.seal(b"old", "t", "c", ROW), "t", "c", ROW) == b"old"
    with pytest.raises(SealBroken):
        first.open(both.seal(b"new", "t", "c", ROW), "t", "c", ROW)


def test_a_master_key_that_left_the_ring_opens_nothing() -> None:
    old = MasterRing((("k1", new_data_key()),))
    key_id, wrapped = old.wrap(b"data key", "place")
    assert MasterRing((("k2", new_data_key()), *old.keys)).unwrap(key_id, wrapped, "place") == b"data key"
    with pytest.raises(SealBroken):
        MasterRing((("k2", new_data_key()),)).unwrap(key_id, wrapped, "place")
    with pytest.raises(SealBroken):
        old.unwrap(key_id, wrapped, "elsewhere")


def test_keys_do_not_show_in_a_repr() -> None:
    assert repr(VAULT.keys[1]) not in repr(VAULT)


def nonces(many: int) -> set[bytes]:
    """The nonces of so many sealed values."""
    vault = Vault(new_id(), {1: new_data_key()})
    return {vault.seal(b"same", "jobs", "result_sealed", ROW)[3:15] for _ in range(many)}


def test_no_two_values_have_a_nonce_in_common_in_whatever_thread_they_are_sealed() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(nonces, [2000] * 8))
    assert len(set().union(*found)) == 8 * 2000


def test_a_forked_child_shares_no_nonce_with_its_parent() -> None:
    """The same key seals on both sides: a nonce that both used would give the plaintexts away."""
    nonces(1)  # so that some are drawn ahead
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as children:
        found = children.map(nonces, [1000, 1000], chunksize=1)
    found.append(nonces(1000))
    assert len(set().union(*found)) == 3 * 1000
