"""Payloads of kinds that mail people about their accounts."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from domain.identity.links import Purpose


class AccountMailLinkSchema(Schema):
    """The address that someone named. Whether it is an account's is looked up when the job runs."""

    purpose = fields.String(
        required=True, validate=validate.OneOf([Purpose.VERIFY_EMAIL.value, Purpose.RESET_PASSWORD.value])
    )
    email = fields.String(required=True, validate=validate.Length(max=320))


class InvitationMailSchema(Schema):
    """An invitation of the job's tenant."""

    invitation_id = fields.UUID(required=True)
