"""A typed client of the Nexus API.

`Client` has an attribute for each part of the API (`client.jobs`, `client.notifications`, …) and there a method for each
operation, named as in the API's reference. What it takes and gives are the dictionaries of that reference, typed in `models`.
"""

from nexus_client.api import models
from nexus_client.client import Client
from nexus_client.errors import (
    Conflict,
    InvalidRequest,
    JobDidNotSucceed,
    NexusError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Problem,
    RateLimited,
    ServerFailed,
    StillRunning,
    Unauthenticated,
    Unreachable,
)
from nexus_client.streams import Event
from nexus_client.transport import etag_of

__all__ = [
    "Client",
    "Conflict",
    "Event",
    "InvalidRequest",
    "JobDidNotSucceed",
    "NexusError",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "Problem",
    "RateLimited",
    "ServerFailed",
    "StillRunning",
    "Unauthenticated",
    "Unreachable",
    "etag_of",
    "models",
]
