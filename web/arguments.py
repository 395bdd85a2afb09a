"""Reading what a request carries, strictly: JSON that PostgreSQL can hold, known parameters, one error form.

Malformed JSON is 400, another content type 415, and what does not fit a schema 422 with a pointer for each fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import marshmallow
from flask import Request
from webargs import core
from webargs.flaskparser import FlaskParser, is_json_request
from werkzeug.datastructures import MultiDict

from domain.errors import FieldError, InvalidPayload, MalformedRequest, UnsupportedMediaType
from jobs.submit import field_errors

UNSTORABLE = "Must not contain NUL or unpaired surrogates."


class RequestParser(FlaskParser):
    """flask-smorest's parser with our errors. Nothing that a schema does not know passes, wherever it stands."""

    DEFAULT_UNKNOWN_BY_LOCATION = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": marshmallow.RAISE,
        "querystring": marshmallow.RAISE,
        "form": marshmallow.RAISE,
    }

    def _raw_load_json(self, req: Request) -> Any:
        raw = req.get_data(cache=True)
        if not raw:
            return core.missing
        if not is_json_request(req):
            raise UnsupportedMediaType("Send the body as application/json.")
        value = parse_json(raw)
        refuse_unstorable(value, raw)
        return value

    def load_querystring(self, req: Request, schema: marshmallow.Schema) -> Any:
        """The query's parameters. Raises `InvalidPayload` for text that cannot be stored or is given twice."""
        refuse_repeated(req.args)
        return super().load_querystring(req, schema)

    def handle_error(
        self,
        error: marshmallow.ValidationError,
        req: Request,
        schema: marshmallow.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Turn marshmallow's messages, which webargs nests under their location, into `InvalidPayload`."""
        faults: list[FieldError] = []
        by_location: Mapping[str, Any] = error.messages_dict
        for location, messages in by_location.items():
            faults += field_errors(messages, "" if location == "json" else f"/{location}")
        where = "body" if set(by_location) == {"json"} else "request"
        raise InvalidPayload(f"The {where} does not have the expected form.", errors=tuple(faults)) from None


def parse_json(raw: bytes) -> Any:
    """The JSON value (RFC 8259) of a body. Raises `MalformedRequest`; NaN and Infinity are not JSON."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedRequest("The body is not valid JSON.") from None


def refuse_unstorable(value: Any, raw: bytes) -> None:
    """Raise `InvalidPayload` for text that PostgreSQL cannot hold. Such text needs an escape, so most bodies are not walked."""
    if b"\\u" not in raw:
        return
    faults = tuple(FieldError(pointer, "invalid", UNSTORABLE) for pointer in _unstorable(value, ""))
    if faults:
        raise InvalidPayload("The body holds text that cannot be stored.", errors=faults)


def refuse_repeated(query: MultiDict[str, str]) -> None:
    """Raise `InvalidPayload` for query parameters that are given twice or hold NUL."""
    faults = [
        FieldError(f"/query/{name}", "repeated", "Is given more than once.")
        for name, values in query.lists()
        if len(values) > 1
    ]
    faults += [
        FieldError(f"/query/{name}", "invalid", UNSTORABLE) for name, text in query.items() if "\0" in name + text
    ]
    if faults:
        raise InvalidPayload("The query is not as expected.", errors=tuple(faults))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unstorable(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, str):
        if not _is_storable(value):
            yield pointer
    elif isinstance(value, dict):
        for key, inner in value.items():
            # A name that cannot be stored cannot be shown either, so the fault points at the object that holds it.
            if not _is_storable(key):
                yield pointer
            else:
                yield from _unstorable(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable(inner, f"{pointer}/{index}")


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
