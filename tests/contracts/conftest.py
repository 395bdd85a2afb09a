"""Doubles for the vendors: they speak SMTP, HTTP and S3 on loopback, and break where a test says so."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import boto3
import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer
from types_boto3_s3 import S3Client

from config.settings import Settings, load
from tests.contracts.smtp_double import SmtpDouble

SettingsMaker = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsMaker:
    """Settings of a platform of its own, with what the test says and nothing from the environment."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)

    def make(**overrides: object) -> Settings:
        return load(_env_file=None, **{"NEXUS_HOME": tmp_path / "home", **overrides})

    return make


class _AnyPort(Controller):
    """Tries the port that it was given by the system, where aiosmtpd would try port 0."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def smtp() -> Iterator[SmtpDouble]:
    """A mail server that follows the test's script."""
    double = SmtpDouble()
    controller = _AnyPort(double, hostname="127.0.0.1", port=0, auth_require_tls=False, authenticator=double.login)
    controller.start()
    double.port = controller.port
    try:
        yield double
    finally:
        double.released.set()
        controller.stop()


@pytest.fixture
def server_certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path


@pytest.fixture(params=["smtps", "smtp+starttls"])
def encrypted_smtp(request: pytest.FixtureRequest, server_certificate: Path) -> Iterator[SmtpDouble]:
    """A mail server that speaks TLS from the first byte, or demands STARTTLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server_certificate)
    double = SmtpDouble(scheme=request.param)
    # aiosmtpd takes only what STARTTLS began for encrypted
    kind = (
        {"ssl_context": context, "auth_require_tls": False}
        if request.param == "smtps"
        else {"tls_context": context, "require_starttls": True}
    )
    controller = _AnyPort(double, hostname="127.0.0.1", port=0, authenticator=double.login, **kind)
    controller.start()
    double.port = controller.port
    try:
        yield double
    finally:
        double.released.set()
        controller.stop()


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections, which the system does for it, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def resetting_server() -> Iterator[str]:
    """A server that reads the beginning of a request and resets the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """S3 as moto serves it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3(s3_endpoint: str) -> Iterator[S3Client]:
    """A client beside ours: makes buckets and looks into them."""
    client = boto3.session.Session().client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    yield client
    client.close()
