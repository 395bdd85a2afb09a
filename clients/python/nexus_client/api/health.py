"""The API's `health`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api import models
from nexus_client.transport import Transport


class Health:
    """The operations whose path begins with `health`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def live(self) -> models.Liveness:
        """Tell that the process lives."""
        answer: models.Liveness = self._transport.send("GET", "/health")
        return answer

    def ready(self) -> models.Readiness:
        """Tell whether requests can be served, and how each part is."""
        answer: models.Readiness = self._transport.send("GET", "/health/ready")
        return answer
