"""The request's body, held to its limit also where the client does not say how long it is."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge


class LimitedRequest(Request):
    """Refuses a chunked body that reaches `MAX_CONTENT_LENGTH`; Werkzeug would cut it off there and say nothing."""

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """The whole body, as `flask.Request.get_data` returns it. Raises `RequestEntityTooLarge`."""
        body: bytes | str = super().get_data(*args, **kwargs)
        limit = self.max_content_length
        if self.content_length is None and limit is not None and len(body) >= limit:
            raise RequestEntityTooLarge
        return body
