"""Payloads of notification kinds."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

SUBJECT_LIMIT = 998
"""RFC 5322, section 2.1.1."""


class NotificationDeliverSchema(Schema):
    """One message to one recipient. `html` is sent beside `text` as an alternative."""

    channel = fields.String(load_default="email", validate=validate.OneOf(["email"]))
    to = fields.Email(required=True, validate=validate.Length(max=320))
    subject = fields.String(
        required=True,
        validate=[
            validate.Length(min=1, max=SUBJECT_LIMIT),
            validate.ContainsNoneOf("\r\n", error="Must not contain line breaks."),
        ],
    )
    text = fields.String(required=True, validate=validate.Length(min=1, max=200_000))
    html = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=500_000))
