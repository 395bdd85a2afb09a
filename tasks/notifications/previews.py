"""Rendering a template to look at. It runs here and not in the API, because a template is a program that a tenant wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.context import JobContext
from jobs.handlers import handles
from providers.rendering import render


@handles("notification.preview")
def preview(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rendered parts. Raises `RenderFailed` with the code that a delivery would end with."""
    context.check()
    parts = {name: payload[name] for name in ("subject", "text", "html") if payload[name] is not None}
    return {"subject": None, "html": None, **render(parts, payload["data"])}
