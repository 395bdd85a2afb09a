"""Amazon SES, API v2, with the message as MIME, so that every provider sends the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.errors import JobError, Permanent, RateLimited, Transient, UnknownOutcome
from providers.email.base import EmailMessage
from providers.email.mime import compose
from providers.messages import SentMessage

TIMEOUT_SECONDS = 15.0
_CODES = {
    "MessageRejected": "message_refused", "MailFromDomainNotVerifiedException": "sender_refused",
    "AccountSuspendedException": "provider_unauthorized", "SendingPausedException": "provider_unauthorized",
    "UnrecognizedClientException": "provider_unauthorized", "InvalidClientTokenId": "provider_unauthorized",
    "SignatureDoesNotMatch": "provider_unauthorized", "AccessDeniedException": "provider_unauthorized",
    "InvalidSignatureException": "provider_unauthorized", "ExpiredTokenException": "provider_unauthorized",
    "BadRequestException": "message_refused", "NotFoundException": "provider_misconfigured",
}  # fmt: skip
_WAIT = frozenset({"TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException"})


@dataclass(frozen=True, slots=True)
class SesAccount:
    """`endpoint` None means Amazon's own of the region."""

    region: str
    access_key: str
    secret_key: str = field(repr=False)
    endpoint: str | None = None


class SesEmailProvider:
    """Not idempotent: SES knows no key, so botocore's own repetitions are off and a call that fell silent is not made again."""

    idempotent = False

    def __init__(self, account: SesAccount, name: str = "ses", timeout: float = TIMEOUT_SECONDS):
        import boto3
        from botocore.config import Config

        self.name = name
        config = Config(
            retries={"total_max_attempts": 1}, connect_timeout=timeout, read_timeout=timeout, proxies={}, parameter_validation=True
        )  # fmt: skip
        self._client: Any = boto3.session.Session().client(  # its stubs for SES are not installed
            "sesv2", region_name=account.region, aws_access_key_id=account.access_key,
            aws_secret_access_key=account.secret_key, endpoint_url=account.endpoint, config=config,
        )  # fmt: skip

    def send(self, message: EmailMessage) -> SentMessage:
        """Send the message."""
        import botocore.exceptions as aws

        composed = compose(message)
        try:
            answer = self._client.send_email(
                FromEmailAddress=composed.sender, Destination={"ToAddresses": [composed.recipient]},
                Content={"Raw": {"Data": composed.content}},
            )  # fmt: skip
        except aws.ClientError as error:
            raise _refused(error.response) from None
        except (aws.EndpointConnectionError, aws.ConnectTimeoutError):
            raise Transient("SES cannot be reached.", code="provider_unreachable") from None
        except (aws.ReadTimeoutError, aws.ConnectionClosedError, aws.HTTPClientError):
            raise UnknownOutcome("SES fell silent after it had the message.") from None
        except aws.BotoCoreError:
            raise Permanent("SES cannot be called as it is configured.", code="provider_misconfigured") from None
        finally:
            self._client.close()
        return SentMessage(self.name, str(answer["MessageId"]), "accepted")


def _refused(answer: Any) -> JobError:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _WAIT or status == 429:
        return RateLimited("SES asks to wait.")
    if status >= 500:
        return Transient(f"SES failed ({status}).", code="provider_unavailable")
    return Permanent(f"SES refused the message: {code[:100]}", code=_CODES.get(code, "provider_rejected"))
