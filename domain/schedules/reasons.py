"""Why a schedule rests."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Someone paused it, or it could not go on: resuming or editing it, by someone who may, sets it going again."""

    PAUSED = "paused"
    PRINCIPAL_GONE = "principal_gone"
    PERMISSION_DENIED = "permission_denied"
    INVALID_PAYLOAD = "invalid_payload"
    PAYLOAD_UNREADABLE = "payload_unreadable"
    INVALID_TIMING = "invalid_timing"
    INTERNAL_ERROR = "internal_error"
