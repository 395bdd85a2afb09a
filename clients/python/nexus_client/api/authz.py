"""The API's `authz`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api import models
from nexus_client.transport import Transport


class Authz:
    """The operations whose path begins with `authz`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def explain_permission(self, *, permission: str, user_id: str | None = None, api_key_id: str | None = None) -> models.Explanation:
        """Explain whether a user, or an API key of the user's, holds a permission in the selected tenant.

        Everyone may ask about themselves. To ask about others takes `role:read`.
        """
        answer: models.Explanation = self._transport.send("GET", "/api/v1/authz/explain", query={"permission": permission, "user_id": user_id, "api_key_id": api_key_id})
        return answer
