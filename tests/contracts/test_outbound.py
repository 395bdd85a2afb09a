"""Calling a tenant's address: judged as it resolves, pinned, bounded, and never led elsewhere."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_httpserver import HTTPServer

from domain.destinations import parse_destination, parse_networks
from domain.errors import Transient
from providers.outbound import Answer, post

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")


def send(url: str, timeout: float = 5.0, **options: Any) -> Answer:
    destination = parse_destination(url, LOOPBACK)
    return post(
        destination, {"x-test": "1"}, b"{}", **{"allowed": LOOPBACK, "timeout": timeout, "limit": 100, **options}
    )


def test_the_answer_is_kept_up_to_the_limit(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST", data=b"{}", headers={"X-Test": "1"}).respond_with_data(
        "x" * 500, status=201, headers={"Retry-After": "7"}
    )
    answer = send(httpserver.url_for("/hook?a=b"))
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (201, b"x" * 100, "7")


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=302, headers={"Location": "/inside"})
    assert send(httpserver.url_for("/hook")).status == 302
    assert [request.path for request, _ in httpserver.log] == ["/hook"]


def test_a_proxy_of_the_environment_is_not_used(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    httpserver.expect_request("/hook").respond_with_data("ok")
    assert send(httpserver.url_for("/hook")).status == 200


@pytest.mark.parametrize("allowed", [(), parse_networks("10.0.0.0/8")])
def test_a_name_that_leads_inside_is_refused_when_it_is_called(httpserver: HTTPServer, allowed: Any) -> None:
    destination = parse_destination(f"http://localhost:{httpserver.port}/hook", LOOPBACK)
    with pytest.raises(Transient) as refused:
        post(destination, {}, b"{}", allowed=allowed, timeout=5, limit=100)
    assert refused.value.job_code == "address_refused"
    assert httpserver.log == []


def test_a_name_with_one_inner_address_among_its_own_is_refused(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a resolver under the attacker's control answers, which no local one will."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, httpserver.port)) for text in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: both)
    with pytest.raises(Transient) as refused:
        post(parse_destination("https://example.com/"), {}, b"{}", timeout=5, limit=100)
    assert refused.value.job_code == "address_refused"


def test_the_connection_goes_to_the_address_that_was_judged(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once: a second answer, which may be another, is never asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def once(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host == "rebinding.example":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, *args, **options)
        assert ip_address(host)
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    httpserver.expect_request("/hook").respond_with_data("ok")
    assert send(f"http://rebinding.example:{httpserver.port}/hook").status == 200
    assert asked == ["rebinding.example"]
    assert httpserver.log[0][0].host == f"rebinding.example:{httpserver.port}"


def test_a_name_whose_servers_do_not_answer_gets_no_more_time_than_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a resolver does for half a minute when the name's servers, which its owner chose, are silent."""
    given_up = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: given_up.wait(120) and [])
    try:
        started = time.monotonic()
        with pytest.raises(Transient) as late:
            send("http://silent.example/", timeout=0.5)
        assert time.monotonic() - started < 60
    finally:
        given_up.set()
    assert late.value.job_code == "timeout"


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback for one connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def _drip(connection: socket.socket) -> None:
    connection.recv(65536)
    try:
        for letter in b"HTTP/1.1 200 OK\r\nx-slow: " + b"y" * 1000:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)
    except OSError:
        return


def _nonsense(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


def _hang_up(connection: socket.socket) -> None:
    connection.recv(65536)


def _broken_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")


def test_a_receiver_that_drips_byte_by_byte_gets_no_more_time_than_one_that_is_silent() -> None:
    with server(_drip) as port:
        started = time.monotonic()
        with pytest.raises(Transient) as late:
            send(f"http://127.0.0.1:{port}/", timeout=0.5)
        assert time.monotonic() - started < 5
    assert late.value.job_code == "timeout"


@pytest.mark.parametrize(("talk", "code"), [(_nonsense, "malformed_answer"), (_hang_up, "malformed_answer")])
def test_what_is_no_answer_has_a_code(talk: Callable[[socket.socket], None], code: str) -> None:
    with server(talk) as port, pytest.raises(Transient) as error:
        send(f"http://127.0.0.1:{port}/")
    assert error.value.job_code == code


def test_a_body_that_breaks_off_leaves_the_status() -> None:
    with server(_broken_body) as port:
        answer = send(f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.body) == (200, b"part")


def test_nobody_there_and_no_such_name_have_codes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    for url, code in (
        (f"http://127.0.0.1:{port}/", "connection_failed"),
        ("http://nowhere.invalid/", "name_not_resolved"),
    ):
        with pytest.raises(Transient) as error:
            send(url)
        assert error.value.job_code == code


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate of `localhost` alone, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return paths


def test_over_tls_the_certificate_must_be_of_the_name_though_the_connection_goes_to_the_address(
    certificate: tuple[Path, Path],
) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with HTTPServer(host="127.0.0.1", ssl_context=serving) as receiver:
        receiver.expect_request("/hook").respond_with_data("ok")
        port = receiver.port
        assert send(f"https://localhost:{port}/hook", ssl_context=trusting).status == 200
        for url, context in ((f"https://127.0.0.1:{port}/hook", trusting), (f"https://localhost:{port}/hook", None)):
            with pytest.raises(Transient) as error:
                send(url, ssl_context=context)
            assert error.value.job_code == "tls_failed"
