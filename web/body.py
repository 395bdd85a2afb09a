"""The request's body, held to its limits: of size also where the client does not say how long it is, and of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Request, current_app
from werkzeug.exceptions import RequestEntityTooLarge

from domain.errors import RequestTimedOut
from tenancy.greenlets import is_patched


class LimitedRequest(Request):
    """Refuses a chunked body that reaches `MAX_CONTENT_LENGTH`; Werkzeug would cut it off there and say nothing.

    Refuses one that has not come within `BODY_SECONDS`: whoever sends a byte now and then would hold a greenlet for hours.
    """

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """The whole body, as `flask.Request.get_data` returns it. Raises `RequestEntityTooLarge`, `RequestTimedOut`."""
        with _within(current_app.config["BODY_SECONDS"]):
            body: bytes | str = super().get_data(*args, **kwargs)
        limit = self.max_content_length
        if self.content_length is None and limit is not None and len(body) >= limit:
            raise RequestEntityTooLarge
        return body


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Under gunicorn, where reading waits in gevent; a server that is not patched for it has its own ways."""
    if not is_patched():
        yield
        return
    from gevent import Timeout  # noqa: PLC0415  # only where gunicorn has loaded it already

    with Timeout(seconds) as timeout:
        try:
            yield
        except Timeout as raised:
            if raised is not timeout:
                raise
            raise RequestTimedOut(f"The body must have come within {seconds:.0f} s.") from None
