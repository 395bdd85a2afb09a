"""What a key service does: make keys and open the ones that it made, each bound to a place."""

from __future__ import annotations

from typing import Protocol


class KeyRefused(Exception):
    """The service answered that this wrapped key does not open: another key, another place, or altered bytes."""


class KeyService(Protocol):
    """A service that holds master keys.

    Raises `Transient` (`key_service_unavailable`) while it cannot be asked, or does not let us.
    """

    def make(self, key_id: str, place: str) -> tuple[bytes, bytes]:
        """A new key of 32 bytes, and the same wrapped by the master key `key_id`. It opens for that place only."""

    def open(self, key_id: str, wrapped: bytes, place: str) -> bytes:
        """The key that `make` wrapped. Raises `KeyRefused`."""
