"""What the address of a tenant's own server may hold."""

from __future__ import annotations

import pytest

from domain.destinations import parse_networks
from domain.errors import InvalidPayload
from domain.tenants.servers import parse_server

HERE = parse_networks("127.0.0.0/8")


def test_an_address_is_put_together_of_what_was_understood() -> None:
    address = parse_server("postgres://us%65r:p%40ss@DB.example.com/data")
    assert address.dsn == "postgresql://user:p%40ss@db.example.com:5432/data?sslmode=require"
    assert "p@ss" not in repr(address)


def test_a_verified_certificate_is_held_against_the_systems_roots() -> None:
    address = parse_server("postgresql://u:p@db.example.com:6432/d?sslmode=verify-full")
    assert address.dsn.endswith(":6432/d?sslmode=verify-full&sslrootcert=system")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@db.example.com/d",
        "postgresql://u:p@/d",
        "postgresql://u:p@/d?host=/var/run/postgresql",
        "postgresql://u:p@db.example.com/d?hostaddr=10.0.0.1",
        "postgresql://u:p@db.example.com/d?sslrootcert=/etc/passwd",
        "postgresql://u:p@db.example.com/d?passfile=/etc/passwd&sslmode=require",
        "postgresql://u:p@db.example.com/d?options=-c%20x",
        "postgresql://u:p@db.example.com/d?sslmode=never",
        "postgresql://u:p@db.example.com/d?sslmode=prefer",
        "postgresql://u:p@a.example.com,b.example.com/d",
        "postgresql://u@db.example.com/d",
        "postgresql://u:p@db.example.com",
        "postgresql://u:p@db.example.com:99999/d",
        "postgresql://u:p@localhost/d",
        "postgresql://u:p@127.0.0.1/d",
        "postgresql://u:p@10.1.2.3/d",
        "postgresql://u:p@169.254.169.254/d",
        "postgresql://u:p@[::1]/d",
        "postgresql://u:p@[::ffff:10.0.0.1]/d",
        "postgresql://u:p@2130706433/d",
        "host=db.example.com user=u password=p",
        "postgresql://u:p@db.example.com/" + "d" * 3000,
    ],
)
def test_what_leads_inside_or_says_more_than_it_may_is_refused(url: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        parse_server(url)
    assert [(fault.pointer, fault.code) for fault in raised.value.errors] == [("/database/url", "server_refused")]
    assert "u:p" not in str(raised.value.errors)


def test_networks_that_the_operator_lists_may_be_reached_without_tls() -> None:
    assert parse_server("postgresql://u:p@127.0.0.1:5433/d?sslmode=disable", HERE).port == 5433
    with pytest.raises(InvalidPayload):
        parse_server("postgresql://u:p@10.0.0.1:5433/d?sslmode=disable", HERE)
