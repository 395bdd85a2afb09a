"""Where a tenant may send us: every form of an address that leads inside is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.destinations import Address, Network, is_refused, parse_destination, parse_networks
from domain.errors import InvalidPayload

INSIDE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                 "224.0.0.0/4", "240.0.0.0/4", "0.0.0.0/8", "198.18.0.0/15", "192.0.2.0/24")
)  # fmt: skip
LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")


def within(network: Network) -> st.SearchStrategy[Address]:
    """Any address of the network."""
    return st.integers(int(network.network_address), int(network.broadcast_address)).map(type(network.network_address))


inside = st.sampled_from(INSIDE).flatmap(within)


@given(inside)
def test_a_private_or_reserved_ipv4_address_is_refused(address: Address) -> None:
    assert is_refused(address, "https")


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_passes_that_python_calls_other_than_global(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert is_refused(address, "https")


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_passes_that_python_calls_other_than_global(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert is_refused(address, "https")


@given(
    st.ip_addresses(v=4),
    st.sampled_from(["::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/96", "::ffff:0:0:0/96", "2002::/16"]),
)
def test_an_ipv4_address_inside_an_ipv6_one_is_refused_whatever_it_is(inner: IPv4Address, prefix: str) -> None:
    network = IPv6Network(prefix)
    shift = 80 if prefix == "2002::/16" else 0
    assert is_refused(IPv6Address(int(network.network_address) | int(inner) << shift), "https")


@pytest.mark.parametrize(
    "text",
    ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "::1", "::", "fe80::1",
     "fe80::1%eth0", "fc00::1", "ff02::1", "2001::1", "2001:db8::1", "100::1", "255.255.255.255", "0.0.0.0"],
)  # fmt: skip
def test_metadata_services_and_local_addresses_are_refused(text: str) -> None:
    assert is_refused(ip_address(text), "https")


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"])
def test_an_address_of_the_internet_passes_over_https_only(text: str) -> None:
    assert not is_refused(ip_address(text), "https")
    assert is_refused(ip_address(text), "http")
    assert is_refused(ip_address(text), "http", LOOPBACK)


def test_listed_networks_pass_over_http_too_and_nothing_else_does() -> None:
    assert not is_refused(ip_address("127.0.0.1"), "http", LOOPBACK)
    assert not is_refused(ip_address("::1"), "https", LOOPBACK)
    assert is_refused(ip_address("10.0.0.1"), "https", LOOPBACK)
    assert is_refused(ip_address("::ffff:127.0.0.1"), "https", LOOPBACK)


@given(inside)
def test_no_spelling_of_an_inner_address_is_taken(address: Address) -> None:
    number = int(address)
    a, b, c, d = address.packed
    spellings = [f"{a}.{b}.{c}.{d}", str(number), hex(number), f"0x{a:x}.{b}.{c}.{d}", f"{a}.{number & 0xFFFFFF}",
                 f"{a:o}.{b:o}.{c:o}.0{d:o}", f"[::ffff:{address}]", f"[64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}]"]  # fmt: skip
    for host in spellings:
        if host == f"{a:o}.{b:o}.{c:o}.0{d:o}" and not is_literal_refused(host):
            continue  # read as decimal it is another address, of the internet
        with pytest.raises(InvalidPayload):
            parse_destination(f"https://{host}/")


def is_literal_refused(host: str) -> bool:
    """Whether the text, if it is an address as Python reads it, is one to refuse."""
    try:
        return is_refused(ip_address(host), "https")
    except ValueError:
        return True


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "//example.com", "example.com", "https://", "https:///x",
     "https://user@example.com/", "https://user:password@example.com/", "https://example.com:22/",
     "https://example.com:0/", "https://example.com:70000/", "https://localhost/", "https://db/", "https://a.internal/",
     "https://printer.local/", "https://exämple.com/", "https://example.com/#part", "https://example.com/a b",
     "https://example.com\\@127.0.0.1/", "https://a..b/", "https://[::1/", "https://[fe80::1%25eth0]/", "https://x\n.com/",
     "https://127.0.0.1.:443/", "https://example.com/" + "x" * 2000],
)  # fmt: skip
def test_what_is_no_public_https_url_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        parse_destination(url)
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/url", "url_refused")]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.com/hook?x=1", "example.com", 443),
        ("https://Example.COM:8443", "example.com", 8443),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443),
        ("https://8.8.8.8:80/", "8.8.8.8", 80),
    ],
)
def test_a_public_https_url_is_taken_apart(url: str, host: str, port: int) -> None:
    found = parse_destination(url)
    assert (found.scheme, found.host, found.port) == ("https", host, port)


def test_where_private_networks_are_listed_local_names_and_http_are_judged_by_their_address() -> None:
    assert parse_destination("http://localhost:8080/", LOOPBACK).port == 8080
    assert parse_destination("http://127.0.0.1/", LOOPBACK).port == 80
    for url in ("http://10.0.0.1/", "http://8.8.8.8/", "https://user:p@localhost/"):
        with pytest.raises(InvalidPayload):
            parse_destination(url, LOOPBACK)
