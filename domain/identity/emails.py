"""Email addresses as accounts know them."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from domain.errors import FieldError, InvalidPayload


def normalise_email(text: str) -> str:
    """The address in the one form that is stored and compared: lower case, NFC, its domain in ASCII (IDNA).

    Raises `InvalidPayload`. Asks no DNS: that a mailbox exists is shown by mail to it, nothing else.
    """
    try:
        address = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise InvalidPayload(
            "The email address is not valid.", errors=(FieldError("/email", "invalid_email", str(error)),)
        ) from None
    return f"{address.local_part}@{address.ascii_domain}".lower()
