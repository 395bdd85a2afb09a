"""Rendering templates that tenants wrote, in a process of its own with bounds on time, memory and output."""

from providers.rendering.cage import RenderFailed, render, render_many
from providers.rendering.child import clean

__all__ = ["RenderFailed", "clean", "render", "render_many"]
