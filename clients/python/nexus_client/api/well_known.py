"""The API's `well_known`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api import models
from nexus_client.transport import Transport


class WellKnown:
    """The operations whose path begins with `well_known`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def read_jwks(self) -> models.Jwks:
        """Read the keys that verify access tokens (RFC 7517).

        A token that verifies may still be of a revoked session: only this API knows.
        """
        answer: models.Jwks = self._transport.send("GET", "/.well-known/jwks.json")
        return answer
