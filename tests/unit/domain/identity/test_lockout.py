"""How guessing is slowed down."""

from __future__ import annotations

from domain.identity.lockout import DELAYS, account_subject, address_subject, lock_delay


def test_a_lock_lasts_30_seconds_doubling_to_15_minutes() -> None:
    seconds = [lock_delay(excess).total_seconds() for excess in (1, 2, 5, 6, 7, 1000)]
    assert seconds == [30, 60, 480, 900, 900, 900]
    assert DELAYS[-1] == lock_delay(len(DELAYS) + 1)


def test_spellings_of_one_email_are_one_subject() -> None:
    assert account_subject(" Ada@example.com") == account_subject("ada@example.com")
    assert account_subject("ada@example.com") != account_subject("bob@example.com")


def test_an_ipv4_address_is_itself_also_when_mapped_and_of_ipv6_the_network_counts() -> None:
    assert address_subject("::ffff:203.0.113.7") == address_subject("203.0.113.7") != address_subject("203.0.113.8")
    assert address_subject("2001:db8::1") == address_subject("2001:db8::ffff") != address_subject("2001:db8:0:1::1")
    assert address_subject("fe80::1%eth0") == address_subject("fe80::2")


def test_an_address_is_no_account() -> None:
    assert address_subject("") != account_subject("")
    assert address_subject("unix:") == address_subject("unix:")
