"""Twilio, FCM, Web Push and SES: their wire formats, and what each of their failures means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto.server import ThreadedMotoServer
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from domain.destinations import parse_networks
from domain.errors import JobError, Permanent, RateLimited, Transient, UnknownOutcome
from domain.ids import new_id
from providers.circuits import FAILURES_TO_OPEN, Circuits
from providers.email import EmailMessage
from providers.email.ses import SesAccount, SesEmailProvider
from providers.push import PushMessage
from providers.push.encryption import bytes_of, encrypt, private_key, public_key, unpadded
from providers.push.fcm import FcmPushProvider, ServiceAccount
from providers.push.web_push import VapidIdentity, WebPushProvider
from providers.sms import SmsMessage
from providers.sms.twilio import TwilioAccount, TwilioSmsProvider

SID = "AC" + "0" * 32
LOOPBACK = parse_networks("127.0.0.0/8")


@pytest.fixture
def vendor() -> Iterator[HTTPServer]:
    """An HTTP server that plays the vendor."""
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


def refused(provider: Any, message: Any) -> JobError:
    with pytest.raises(JobError) as raised:
        provider.send(message)
    return raised.value


# --- Twilio


def twilio(api: str, timeout: float = 5.0) -> TwilioSmsProvider:
    return TwilioSmsProvider(TwilioAccount(SID, "+15005550006", "token", api), timeout=timeout)


SMS = SmsMessage(new_id(), "+491701234567", "Hello, Ada", "https://nexus.example/callbacks/1")


def test_twilio_gets_a_form_and_answers_with_a_sid(vendor: HTTPServer) -> None:
    seen: list[Request] = []

    def create(request: Request) -> Response:
        seen.append(request)
        request.get_data()
        return Response(json.dumps({"sid": "SM123", "status": "queued"}), 201, mimetype="application/json")

    vendor.expect_request(f"/2010-04-01/Accounts/{SID}/Messages.json", method="POST").respond_with_handler(create)
    sent = twilio(vendor.url_for("")).send(SMS)
    assert (sent.provider, sent.provider_id, sent.detail) == ("twilio", "SM123", "queued")
    assert parse_qs(seen[0].get_data(as_text=True)) == {
        "To": ["+491701234567"], "From": ["+15005550006"], "Body": ["Hello, Ada"],
        "StatusCallback": ["https://nexus.example/callbacks/1"],
    }  # fmt: skip
    assert seen[0].authorization is not None
    assert (seen[0].authorization.username, seen[0].authorization.password) == (SID, "token")


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"code": 21211, "message": "Invalid 'To'"}, Permanent, "invalid_address"),
        (400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"}, Permanent, "recipient_refused"),
        (401, {"code": 20003, "message": "Authenticate"}, Permanent, "provider_unauthorized"),
        (429, {"code": 20429, "message": "Too Many Requests"}, RateLimited, "provider_rate_limited"),
        (503, {}, Transient, "provider_unavailable"),
        (400, {"code": 99999, "message": "token is in here"}, Permanent, "provider_rejected"),
    ],
)
def test_twilios_refusals_have_meanings(
    vendor: HTTPServer, status: int, body: dict[str, Any], kind: type[JobError], code: str
) -> None:
    vendor.expect_request(f"/2010-04-01/Accounts/{SID}/Messages.json").respond_with_json(body, status)
    error = refused(twilio(vendor.url_for("")), SMS)
    assert isinstance(error, kind)
    assert error.job_code == code
    assert "token" not in error.detail.replace("[token]", "")


def test_a_call_that_fell_silent_is_unknown_and_one_that_never_began_is_not(
    silent_server: str, resetting_server: str, closed_port: int
) -> None:
    assert isinstance(refused(twilio(silent_server, 0.3), SMS), UnknownOutcome)
    assert isinstance(refused(twilio(resetting_server), SMS), UnknownOutcome)
    error = refused(twilio(f"http://127.0.0.1:{closed_port}"), SMS)
    assert (type(error), error.job_code) == (Transient, "provider_unreachable")


# --- FCM


@pytest.fixture(scope="module")
def service_account() -> tuple[str, Any]:
    """A service account's file, and the key to check what it signs."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    email = f"push-{new_id()}@acme.iam.gserviceaccount.com"
    file = {
        "type": "service_account", "project_id": "acme", "client_email": email, "private_key": pem,
        "token_uri": "http://169.254.169.254/steal",
    }  # fmt: skip
    return json.dumps(file), key.public_key()


PUSH = PushMessage(new_id(), "device-token", "Hello", "Ada", {"order": "7"})


def fcm(vendor: HTTPServer, file: str) -> FcmPushProvider:
    return FcmPushProvider(ServiceAccount.parse(file), api=vendor.url_for(""), token_url=vendor.url_for("/token"))


def test_fcm_buys_a_token_with_a_signed_assertion_and_sends_with_it(
    vendor: HTTPServer, service_account: tuple[str, Any]
) -> None:
    file, public = service_account
    seen: list[tuple[str, Any]] = []

    def token(request: Request) -> Response:
        assertion = request.form["assertion"]
        claims = jwt.decode(assertion, public, algorithms=["RS256"], audience=vendor.url_for("/token"))
        seen.append(("token", claims["scope"]))
        return Response(json.dumps({"access_token": "ya29", "expires_in": 3600}), mimetype="application/json")

    def send(request: Request) -> Response:
        seen.append((request.headers["authorization"], request.get_json()))
        return Response(json.dumps({"name": "projects/acme/messages/1"}), mimetype="application/json")

    vendor.expect_request("/token", method="POST").respond_with_handler(token)
    vendor.expect_request("/v1/projects/acme/messages:send", method="POST").respond_with_handler(send)
    provider = fcm(vendor, file)
    assert provider.send(PUSH).provider_id == "projects/acme/messages/1"
    provider.send(PUSH)
    assert [name for name, _ in seen] == ["token", "Bearer ya29", "Bearer ya29"]
    message = seen[1][1]["message"]
    assert (message["token"], message["notification"]) == ("device-token", {"title": "Hello", "body": "Ada"})
    assert message["data"]["order"] == "7"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"error": {"status": "NOT_FOUND", "details": [{"errorCode": "UNREGISTERED"}]}}, "device_gone"),
        (400, {"error": {"status": "INVALID_ARGUMENT", "message": "bad"}}, "message_refused"),
        (503, {"error": {"status": "UNAVAILABLE"}}, "provider_unavailable"),
        (429, {"error": {"status": "QUOTA_EXCEEDED"}}, "provider_rate_limited"),
        (
            403,
            {"error": {"status": "PERMISSION_DENIED", "details": [{"errorCode": "SENDER_ID_MISMATCH"}]}},
            "invalid_address",
        ),
    ],
)
def test_fcms_refusals_have_meanings(
    vendor: HTTPServer, service_account: tuple[str, Any], status: int, body: dict[str, Any], code: str
) -> None:
    vendor.expect_request("/token").respond_with_json({"access_token": "ya29", "expires_in": 3600})
    vendor.expect_request("/v1/projects/acme/messages:send").respond_with_json(body, status)
    assert refused(fcm(vendor, service_account[0]), PUSH).job_code == code


def test_a_service_account_that_google_does_not_know_is_a_configuration_fault(
    vendor: HTTPServer, service_account: tuple[str, Any]
) -> None:
    vendor.expect_request("/token").respond_with_json({"error": "invalid_grant"}, 400)
    assert refused(fcm(vendor, service_account[0]), PUSH).job_code == "provider_unauthorized"
    with pytest.raises(Permanent):
        ServiceAccount.parse('{"project_id": "x"}')


# --- Web Push


def test_messages_are_encrypted_as_rfc_8291_shows() -> None:
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        bytes_of("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        bytes_of("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        salt=bytes_of("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert unpadded(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
        "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def subscription(endpoint: str) -> str:
    receiver = ec.generate_private_key(ec.SECP256R1())
    keys = {"p256dh": public_key(receiver), "auth": unpadded(b"a" * 16)}
    return json.dumps({"endpoint": endpoint, "keys": keys})


def web_push(allowed: Any = LOOPBACK) -> WebPushProvider:
    return WebPushProvider(VapidIdentity("mailto:ops@example.com", unpadded(b"\x01" * 32)), allowed)


def test_a_push_service_gets_ciphertext_and_proof_of_the_sender(vendor: HTTPServer) -> None:
    seen: list[Request] = []

    def take(request: Request) -> Response:
        request.get_data()
        seen.append(request)
        return Response(status=201, headers={"location": "https://push.example/m/1"})

    vendor.expect_request("/push/1", method="POST").respond_with_handler(take)
    sent = web_push().send(PushMessage(new_id(), subscription(vendor.url_for("/push/1")), "Hello", "secret text"))
    assert sent.provider_id == "https://push.example/m/1"
    headers, body = seen[0].headers, seen[0].get_data()
    assert (headers["Content-Encoding"], headers["Ttl"]) == ("aes128gcm", "86400")
    assert b"secret" not in body
    token, _, key = headers["Authorization"].removeprefix("vapid t=").partition(", k=")
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes_of(key))
    claims = jwt.decode(token, public, algorithms=["ES256"], audience=vendor.url_for("").rstrip("/"))
    assert claims["sub"] == "mailto:ops@example.com"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (410, "device_gone"),
        (404, "device_gone"),
        (429, "provider_rate_limited"),
        (500, "provider_unavailable"),
        (413, "message_refused"),
    ],
)
def test_a_push_services_refusals_have_meanings(vendor: HTTPServer, status: int, code: str) -> None:
    vendor.expect_request("/push/1").respond_with_data("", status)
    message = PushMessage(new_id(), subscription(vendor.url_for("/push/1")), "Hello", "Ada")
    assert refused(web_push(), message).job_code == code


def test_a_subscription_cannot_lead_inside_and_nonsense_is_no_subscription(vendor: HTTPServer) -> None:
    inside = PushMessage(new_id(), subscription("https://169.254.169.254/push"), "Hello", "Ada")
    assert refused(web_push(()), inside).job_code == "invalid_address"
    for target in (
        "{}",
        "[]",
        "nonsense",
        '{"endpoint": "https://x.example/1", "keys": {"p256dh": "BB", "auth": "a"}}',
    ):
        assert refused(web_push(), PushMessage(new_id(), target, "Hello", "Ada")).job_code == "invalid_address"
    long = PushMessage(new_id(), subscription(vendor.url_for("/push/1")), "Hello", "a" * 5000)
    assert refused(web_push(), long).job_code == "invalid_content"


def test_a_push_service_that_falls_silent_leaves_the_outcome_unknown(resetting_server: str, closed_port: int) -> None:
    message = PushMessage(new_id(), subscription(f"{resetting_server}/push"), "Hello", "Ada")
    assert isinstance(refused(web_push(), message), UnknownOutcome)
    nobody = PushMessage(new_id(), subscription(f"http://127.0.0.1:{closed_port}/push"), "Hello", "Ada")
    assert refused(web_push(), nobody).job_code == "provider_unreachable"


# --- SES


@pytest.fixture(scope="module")
def ses_endpoint() -> Iterator[str]:
    """SES as moto serves it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


MAIL = EmailMessage(new_id(), "Acme <no-reply@acme.example>", "ada@example.org", "Grüße", "Hello")


def ses(endpoint: str, timeout: float = 5.0) -> SesEmailProvider:
    return SesEmailProvider(SesAccount("eu-central-1", "key", "secret", endpoint), timeout=timeout)


def test_ses_takes_the_message_of_a_verified_sender_only(ses_endpoint: str) -> None:
    assert isinstance(refused(ses(ses_endpoint), MAIL), Permanent)
    client = boto3.session.Session().client(
        "sesv2",
        endpoint_url=ses_endpoint,
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_email_identity(EmailIdentity="acme.example")
    legacy = boto3.session.Session().client(
        "ses",
        endpoint_url=ses_endpoint,
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    legacy.verify_domain_identity(Domain="acme.example")
    assert ses(ses_endpoint).send(MAIL).provider_id
    client.close()
    legacy.close()


def test_ses_that_falls_silent_leaves_the_outcome_unknown_and_is_called_once(
    silent_server: str, closed_port: int
) -> None:
    assert isinstance(refused(ses(silent_server, 0.3), MAIL), UnknownOutcome)
    assert refused(ses(f"http://127.0.0.1:{closed_port}"), MAIL).job_code == "provider_unreachable"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "MessageRejected", "message_refused"), (403, "SignatureDoesNotMatch", "provider_unauthorized"),
        (429, "TooManyRequestsException", "provider_rate_limited"), (500, "InternalFailure", "provider_unavailable"),
    ],
)  # fmt: skip
def test_ses_refusals_have_meanings(vendor: HTTPServer, status: int, kind: str, code: str) -> None:
    calls: list[int] = []

    def answer(_: Request) -> Response:
        calls.append(1)
        return Response(
            json.dumps({"message": "no"}), status, headers={"x-amzn-ErrorType": kind}, mimetype="application/json"
        )

    vendor.expect_request("/v2/email/outbound-emails", method="POST").respond_with_handler(answer)
    assert refused(ses(vendor.url_for("").rstrip("/")), MAIL).job_code == code
    assert len(calls) == 1


# --- circuits


def test_a_circuit_opens_after_failures_in_a_row_and_tries_again_later() -> None:
    now = [0.0]
    circuit = Circuits(30.0, lambda: now[0]).get("a")
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.note(Transient("x"))
    circuit.note(Permanent("refused, so alive"))
    for _ in range(FAILURES_TO_OPEN):
        assert circuit.remaining() == 0
        circuit.note(Transient("x"))
    assert circuit.remaining() == 30
    now[0] = 31.0
    assert circuit.remaining() == 0
    circuit.note(Transient("x"))
    assert circuit.remaining() == 30
