"""What each of many messages says; those of one variant are rendered together, and a fixed text is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import Permanent
from jobs.context import JobContext
from providers.rendering import RenderFailed, render_many
from tasks.notifications.content import Content, Source, template_data, unsubscribe_url
from tasks.notifications.journal import Due


class Wording:
    """The words of a broadcast."""

    def __init__(self, context: JobContext, asked: Mapping[str, Any]):
        self._context, self._asked = context, asked
        self._fixed: Content | None = None

    def of(self, window: Sequence[Due]) -> list[Content | Permanent]:
        """For each message what it says, or why it cannot be said."""
        made: dict[int, Content | Permanent] = {}
        by_source: dict[int, list[int]] = {}
        for place, due in enumerate(window):
            by_source.setdefault(id(due.source), []).append(place)
        for places in by_source.values():
            source = window[places[0]].source
            if source.variables is None:
                self._fixed = self._fixed or source.fixed()
                made |= dict.fromkeys(places, self._fixed)
            else:
                made |= zip(places, self._rendered(source, [window[place] for place in places]), strict=True)
        return [made[place] for place in range(len(window))]

    def _rendered(self, source: Source, window: Sequence[Due]) -> Sequence[Content | Permanent]:
        contexts = [
            template_data(self._asked, due.recipient, unsubscribe_url(self._context, due.message_id)) for due in window
        ]
        try:
            answers = render_many(source.parts, contexts)
        except RenderFailed as error:
            return [error] * len(window)
        return [
            answer
            if isinstance(answer, RenderFailed)
            else Content(answer.get("subject", ""), answer["text"], answer.get("html"))
            for answer in answers
        ]
