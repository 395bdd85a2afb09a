"""Calling addresses that tenants chose: resolved once, judged, pinned, bounded in time and size, never redirected."""

from providers.outbound.post import Answer, post

__all__ = ["Answer", "post"]
