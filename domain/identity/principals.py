"""Who acts: a user, an API key or the platform itself."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """The actor of a request or a job.

    `subject` is how rows name it: `user:<id>`, `key:<id>` or `system:<what>`. `tenant_id` is the selected tenant, and
    `permissions` hold in that tenant only. `email_verified` is the user's who acts, or whom the key acts for.
    """

    subject: str
    user_id: UUID | None
    tenant_id: UUID | None
    permissions: frozenset[str] = frozenset()
    is_operator: bool = False
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    email_verified: bool = True

    def may(self, permission: str) -> bool:
        """Whether the permission holds."""
        return permission in self.permissions


def system(what: str, tenant_id: UUID) -> Principal:
    """The platform acting for itself in a tenant, for example `system:beat`. It holds no permission of a person."""
    return Principal(subject=f"system:{what}", user_id=None, tenant_id=tenant_id)
