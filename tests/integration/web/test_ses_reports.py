"""What SES reports through SNS: believed only with SNS's signature, by a certificate from SNS's own address."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from pytest_httpserver import HTTPServer

from config.settings import Settings
from domain.errors import Permanent, Transient
from domain.ids import new_id
from domain.notifications.sns import read_sns
from models.tenant import Message
from providers.email import sns
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, run
from tests.integration.web.test_notification_domain import providers

TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail"
SES = {
    "name": "main", "type": "ses", "secrets": {"secret_key": "s" * 40},
    "config": {"region": "eu-central-1", "access_key": "AKIA0000", "from": "news@acme.example", "topic": TOPIC},
}  # fmt: skip


@dataclass
class Topic:
    """Signs as SNS does, and serves the certificate and the confirmation of subscriptions."""

    server: HTTPServer
    key: rsa.RSAPrivateKey
    name: str = field(default_factory=lambda: str(new_id()))
    host: str = "sns.eu-central-1.amazonaws.com"
    arn: str = TOPIC

    def delivery(self, kind: str, text: str, **changed: Any) -> dict[str, str]:
        body = {
            "Type": kind, "MessageId": str(new_id()), "TopicArn": self.arn, "Message": text, "SignatureVersion": "2",
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SigningCertURL": f"https://{self.host}/SimpleNotificationService-{self.name}.pem",
        }  # fmt: skip
        if kind == "Notification":
            body["UnsubscribeURL"] = f"https://{self.host}/?Action=Unsubscribe"
            signed = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
        else:
            body |= {
                "Token": "t" * 64,
                "SubscribeURL": f"https://{self.host}/?Action=ConfirmSubscription&Token={'t' * 64}",
            }
            signed = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        body |= {name: value for name, value in changed.items() if name != "after"}
        canonical = "".join(f"{name}\n{body[name]}\n" for name in signed if name in body)
        digest = hashes.SHA256() if body["SignatureVersion"] == "2" else hashes.SHA1()
        signature = self.key.sign(canonical.encode(), padding.PKCS1v15(), digest)
        return {**body, "Signature": base64.b64encode(signature).decode(), **changed.get("after", {})}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def topic(key: rsa.RSAPrivateKey) -> Iterator[Topic]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        topic = Topic(server, key)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        server.expect_request(f"/SimpleNotificationService-{topic.name}.pem").respond_with_data(pem)
        yield topic


@pytest.fixture
def engine(settings: Settings, topic: Topic) -> Iterator[Tenancy]:
    tenancy = Tenancy(settings.model_copy(update={"sns_endpoint": topic.server.url_for("")}), "engine")
    yield tenancy
    tenancy.dispose()


@pytest.fixture
def path(caller: Caller, web_tenancy: Tenancy) -> str:
    """The callback address of the tenant's account."""
    url: str = providers(caller, SES).json["items"][0]["callback_url"]
    return url.removeprefix(web_tenancy.settings.base_url)


@pytest.fixture
def deliver(caller: Caller, client: Any, path: str, engine: Tenancy) -> Callable[[dict[str, str]], Any]:
    """Deliver as SNS does, and do the job's work; returns its result."""

    def make(body: dict[str, str]) -> Any:
        answer = post(client, path, body)
        assert answer.json == {"received": True}, answer.json
        [job] = engine.platform.fetch(
            "SELECT id FROM jobs WHERE tenant_id = %(id)s AND kind = 'notification.report' AND state = 'queued'",
            {"id": caller.tenant_id},
        )
        return run(engine, caller.tenant_id, job["id"])

    return make


def post(client: Any, path: str, body: dict[str, str]) -> Any:
    headers = {"X-Amz-Sns-Message-Type": body.get("Type", "Notification"), "Content-Type": "text/plain; charset=UTF-8"}
    return client.post(path, data=json.dumps(body), headers=headers)


def sent_by_ses(engine: Tenancy, tenant_id: UUID, status: str = "sent") -> Message:
    message = Message(
        tenant_id=tenant_id, id=new_id(), channel="email", recipient="ada@example.com", subject="Hi", body_text="Hi", status=status,
        provider="ses:main", provider_id=f"ses-{new_id()}",
    )  # fmt: skip
    with engine.session(tenant_id) as session:
        session.add(message)
    return message


def bounce(message: Message, kind: str = "Permanent", name: str = "notificationType") -> str:
    told = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [
        {"emailAddress": "ada@example.com", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]}  # fmt: skip
    return json.dumps({name: "Bounce", "bounce": told, "mail": {"messageId": message.provider_id}})


def status(caller: Caller, message: Message) -> str:
    found: str = caller.get(f"/api/v1/notifications/{message.id}").json["status"]
    return found


def test_a_topic_that_is_subscribed_is_confirmed(topic: Topic, deliver: Callable[..., Any]) -> None:
    asked: list[str] = []
    topic.server.expect_request("/").respond_with_handler(lambda request: _note(asked, request))
    assert deliver(topic.delivery("SubscriptionConfirmation", "You have chosen to subscribe"))["news"] is False
    assert asked == ["ConfirmSubscription"]


def _note(asked: list[str], request: Any) -> Any:
    from werkzeug import Response

    asked.append(request.args["Action"])
    return Response("<ConfirmSubscriptionResponse/>", mimetype="text/xml")


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("name", ["notificationType", "eventType"])
def test_a_hard_bounce_moves_the_message_and_suppresses_its_address(
    caller: Caller, topic: Topic, deliver: Callable[..., Any], engine: Tenancy, version: str, name: str
) -> None:
    message = sent_by_ses(engine, caller.tenant_id)
    body = topic.delivery("Notification", bounce(message, name=name), SignatureVersion=version, Subject="Amazon SES")
    assert deliver(body)["news"] is True
    assert deliver(body)["news"] is False  # SNS may deliver twice
    assert status(caller, message) == "bounced"
    [kept] = all_of(caller, "/api/v1/notifications/suppressions")
    assert (kept["address"], kept["reason"]) == ("ada@example.com", "hard_bounce")
    timeline = caller.get(f"/api/v1/notifications/{message.id}").json["timeline"]
    assert timeline[-1]["event"] == "bounced"
    assert "550 5.1.1" in timeline[-1]["detail"]


def test_a_soft_bounce_suppresses_nobody_and_a_complaint_does(
    caller: Caller, topic: Topic, deliver: Callable[..., Any], engine: Tenancy
) -> None:
    first, second = (sent_by_ses(engine, caller.tenant_id) for _ in range(2))
    deliver(topic.delivery("Notification", bounce(first, "Transient")))
    assert (status(caller, first), all_of(caller, "/api/v1/notifications/suppressions")) == ("bounced", [])
    about = {"complaintFeedbackType": "abuse", "complainedRecipients": [{"emailAddress": "ada@example.com"}]}
    complaint = {"notificationType": "Complaint", "complaint": about, "mail": {"messageId": second.provider_id}}
    deliver(topic.delivery("Notification", json.dumps(complaint)))
    assert [each["reason"] for each in all_of(caller, "/api/v1/notifications/suppressions")] == ["complaint"]


def test_a_delivery_makes_a_message_delivered_and_unknown_mails_are_nobodys(
    caller: Caller, topic: Topic, deliver: Callable[..., Any], engine: Tenancy
) -> None:
    message = sent_by_ses(engine, caller.tenant_id)
    told = {
        "notificationType": "Delivery",
        "delivery": {"smtpResponse": "250 ok"},
        "mail": {"messageId": message.provider_id},
    }
    assert deliver(topic.delivery("Notification", json.dumps(told)))["news"] is True
    assert status(caller, message) == "delivered"
    other = {**told, "mail": {"messageId": "somebody-elses"}}
    assert deliver(topic.delivery("Notification", json.dumps(other)))["news"] is False
    assert deliver(topic.delivery("Notification", "no JSON at all"))["news"] is False


@pytest.mark.parametrize(
    "after",
    [
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com.evil.example/c.pem"},
        {"SigningCertURL": "http://sns.eu-central-1.amazonaws.com/c.pem"},
        {"SigningCertURL": "https://evil@sns.eu-central-1.amazonaws.com/c.pem"},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com:444/c.pem"},
        {"SigningCertURL": "https://sns.us-east-1.amazonaws.com/c.pem"},
        {"SigningCertURL": "https://169.254.169.254/c.pem"},
        {"SigningCertURL": "https://[::1"},
        {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:another"},
        {"Timestamp": "2020-01-01T00:00:00.000Z"},
        {"Timestamp": "soon"},
        {"SignatureVersion": "3"},
        {"Type": "Something"},
        {"Message": None},
        {"MessageId": 7},
    ],
)
def test_what_cannot_be_from_sns_is_refused_at_once_and_makes_no_job(
    caller: Caller, client: Any, topic: Topic, path: str, engine: Tenancy, after: dict[str, Any]
) -> None:
    answer = post(client, path, topic.delivery("Notification", "{}", after=after))
    assert code_of(answer) == (400, "invalid_signature")
    assert engine.platform.fetch("SELECT 1 FROM jobs WHERE tenant_id = %(id)s AND kind = 'notification.report'",
                                 {"id": caller.tenant_id}) == []  # fmt: skip


@pytest.mark.parametrize("after", [{"Message": "another"}, {"Signature": "AAAA"}, {"Signature": "no base64!"}])
def test_a_forged_signature_changes_nothing(
    caller: Caller, topic: Topic, deliver: Callable[..., Any], engine: Tenancy, after: dict[str, str]
) -> None:
    message = sent_by_ses(engine, caller.tenant_id)
    changed = {**after, "Message": bounce(message)} if "Message" in after else after
    with pytest.raises(Permanent) as raised:
        deliver(topic.delivery("Notification", "{}" if "Message" in after else bounce(message), after=changed))
    assert (raised.value.job_code, status(caller, message)) == ("invalid_signature", "sent")
    assert all_of(caller, "/api/v1/notifications/suppressions") == []


def test_a_certificate_that_cannot_be_had_now_is_asked_for_again(topic: Topic, deliver: Callable[..., Any]) -> None:
    topic.server.expect_request("/SimpleNotificationService-broken.pem").respond_with_data("busy", 503)
    url = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-broken.pem"
    with pytest.raises(Transient):
        deliver(topic.delivery("Notification", "{}", SigningCertURL=url))


def test_no_other_address_is_ever_asked(topic: Topic) -> None:
    message = read_sns(topic.delivery("Notification", "{}"))
    with pytest.raises(Permanent):
        sns._read("https://evil.example/c.pem", topic.server.url_for(""))
    assert message.certificate_url.startswith("https://sns.eu-central-1.amazonaws.com/")


def test_only_accounts_of_ses_are_reported_about_this_way(
    caller: Caller, client: Any, topic: Topic, web_tenancy: Tenancy
) -> None:
    file = {"name": "dev", "type": "file_email"}
    path = providers(caller, file).json["items"][0]["callback_url"].removeprefix(web_tenancy.settings.base_url)
    assert code_of(post(client, path, topic.delivery("Notification", "{}"))) == (404, "not_found")
