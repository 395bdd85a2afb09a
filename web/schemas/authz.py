"""Why somebody may do something."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema


class ExplainQuerySchema(Schema):
    """Whom, and what, to explain."""

    permission = fields.String(
        required=True, validate=validate.Length(min=1, max=110), metadata={"example": "job:create"}
    )
    user_id = fields.UUID(load_default=None, metadata={"description": "Left out: the caller."})
    api_key_id = fields.UUID(load_default=None, metadata={"description": "A key that acts for the user."})


class ExplainStepSchema(Schema):
    """One thing on the way to a permission."""

    type = fields.String(
        required=True, metadata={"description": "`api_key`, `user`, `group` or `role`.", "example": "group"}
    )
    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "developers"})


class ExplainPathSchema(Schema):
    """A way by which a role gives the permission: from the user over groups, each below the next, to the role."""

    steps = fields.List(fields.Nested(ExplainStepSchema), required=True)


class ExplainLackSchema(Schema):
    """Something without which the permission does not hold."""

    code = fields.String(
        required=True,
        metadata={
            "description": "`no_role`, `account_disabled`, `key_ended` or `not_in_scopes`.",
            "example": "no_role",
        },
    )
    detail = fields.String(required=True)


class ExplanationSchema(Schema):
    """Whether a permission holds in this tenant, and why."""

    permission = fields.String(required=True, metadata={"example": "job:create"})
    user_id = fields.UUID(required=True)
    api_key_id = fields.UUID(required=True, allow_none=True)
    held = fields.Boolean(required=True)
    paths = fields.List(
        fields.Nested(ExplainPathSchema),
        required=True,
        metadata={"description": "By which roles give it, the shortest first."},
    )
    missing = fields.List(
        fields.Nested(ExplainLackSchema),
        required=True,
        metadata={"description": "Why it does not hold; empty if it does."},
    )
    roles = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Roles that would give it, for callers who may read roles.", "example": ["owner"]},
    )
