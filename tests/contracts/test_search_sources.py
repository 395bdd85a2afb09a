"""Asking an HTTP source: what it is told, what is taken from its answer, and how each way to fail is named."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.destinations import parse_networks
from domain.errors import JobError, Permanent, RateLimited, Transient
from domain.ids import new_id
from domain.search.query import Found, Query
from domain.search.wire import ANSWER_LIMIT, SNIPPET_LIMIT, TITLE_LIMIT, Malformed, read_answer
from providers.search import Endpoint, ask
from tests.contracts.source_double import SourceDouble, hits, source_double

LOOPBACK = parse_networks("127.0.0.0/8")
ONE = {"id": "a", "title": "A"}


@pytest.fixture(scope="module")
def double() -> Iterator[SourceDouble]:
    with source_double() as running:
        yield running


@pytest.fixture
def asking(double: SourceDouble) -> Callable[..., Found]:
    """Asks a source that answers like that."""

    def make(answer: Any = None, *, seconds: float = 20.0, wanted: int = 50, **script: Any) -> Found:
        url = double.source(f"s{new_id()}", answer, **script)
        query = Query(new_id(), "travel", wanted, "hybrid", {"year": {"gt": 2020}})
        return ask(Endpoint("wiki", url, "X-Key", "secret"), query, allowed=LOOPBACK, seconds=seconds)

    return make


def test_a_source_is_told_the_question_and_how_long_it_has(double: SourceDouble) -> None:
    query = Query(new_id(), "travel", 7, "hybrid", {"year": {"gt": 2020}})

    ask(Endpoint("wiki", double.source("told"), "X-Key", "secret"), query, allowed=LOOPBACK, seconds=20)

    _, headers, body = double.asked[-1]
    assert headers["x-key"] == "secret"
    assert headers["content-type"] == "application/json"
    told = {name: body[name] for name in ("search_id", "q", "mode", "filters", "limit", "timeout_ms")}
    assert told == {
        "search_id": str(query.search_id), "q": "travel", "mode": "hybrid", "filters": {"year": {"gt": 2020}}, "limit": 7,
        "timeout_ms": 20_000,
    }  # fmt: skip
    assert body["deadline"].endswith("Z")


def test_hits_come_in_the_sources_own_order(asking: Callable[..., Found]) -> None:
    found = asking(hits("b", "a", url="https://example.com/x"))

    assert [(hit.id, hit.title, hit.snippet, hit.source) for hit in found.hits] == [
        ("b", "B", "About b.", "wiki"), ("a", "A", "About a.", "wiki"),
    ]  # fmt: skip
    assert found.notes == ()
    assert {hit.canonical_id for hit in found.hits} == {"https://example.com/x"}


def test_a_hit_without_an_address_is_known_by_its_source_and_id(asking: Callable[..., Found]) -> None:
    (plain, named) = asking({"hits": [ONE, {"id": "b", "canonical_id": "document:b"}]}).hits

    assert (plain.canonical_id, named.canonical_id, named.title) == ("wiki:a", "document:b", "b")


@pytest.mark.parametrize(
    ("answer", "expected", "note"),
    [
        ({"title": "<b>Bold</b> <img src=x onerror=alert(1)> moves"}, ("Bold moves", "", None), "markup_removed"),
        ({"title": "<scr<script>ipt>alert(1)</script>"}, ("ipt>alert(1)", "", None), "markup_removed"),
        ({"title": "a < b and <3"}, ("a < b and <3", "", None), None),
        ({"title": "x" * 5000}, ("x" * (TITLE_LIMIT - 1) + "…", "", None), "text_cut"),
        ({"title": "A", "snippet": "y " * 90_000}, ("A", ("y " * (SNIPPET_LIMIT // 2))[:-1] + "…", None), "text_cut"),
        ({"title": "line\r\nfeed\u202e\u061c\u2060\u0000 and \ud800"}, ("line feed and", "", None), None),
        ({"title": "A", "url": "javascript:alert(1)"}, ("A", "", None), "url_removed"),
        ({"title": "A", "url": "https://user@example.com/"}, ("A", "", None), "url_removed"),
        ({"title": "A", "url": 'https://example.com/"><script>'}, ("A", "", None), "url_removed"),
        ({"title": "A", "url": "data:text/html,x"}, ("A", "", None), "url_removed"),
        ({"title": "A", "url": "https://example.com/a?b=c"}, ("A", "", "https://example.com/a?b=c"), None),
    ],
)
def test_what_does_not_belong_into_a_hit_is_taken_away(
    asking: Callable[..., Found], answer: dict[str, Any], expected: tuple[str, str, str | None], note: str | None
) -> None:
    found = asking({"hits": [{"id": "a", **answer}]})

    (hit,) = found.hits
    assert (hit.title, hit.snippet[: SNIPPET_LIMIT + 1], hit.url) == expected
    assert found.notes == (() if note is None else (note,))
    assert len(hit.snippet) <= SNIPPET_LIMIT


def test_too_many_hits_are_cut_and_repeated_ones_are_taken_once(asking: Callable[..., Found]) -> None:
    found = asking(hits("a", "a", "b", "c", "d"), wanted=3)

    assert [hit.id for hit in found.hits] == ["a", "b", "c"]
    assert found.notes == ("hits_cut", "hits_repeated")


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"no json", b"[]", b"null", b'{"hits": NaN}', b'{"hits": {}}', b'{"hits": [1]}', b'{"hits": [{}]}', b"\xff\xfe",
        {"hits": [{"id": 5}]}, {"hits": [{"id": ""}]}, {"hits": [{"id": "x" * 201}]}, {"hits": [{"id": "a\nb"}]},
        {"hits": [{**ONE, "title": ["A"]}]}, {"hits": [{**ONE, "snippet": 5}]}, {"hits": [{**ONE, "url": {}}]},
        {"hits": [{**ONE, "canonical_id": "x" * 301}]}, {"hits": [ONE], "more": [[[[[[[[[1]]]]]]]]]},
        b'{"hits":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_as_a_whole(asking: Callable[..., Found], answer: Any) -> None:
    with pytest.raises(Permanent) as refused:
        asking(answer)

    assert refused.value.job_code == "malformed_answer"


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "redirected", Permanent),
        ({"status": 301, "headers": {"location": "http://169.254.169.254/"}}, "redirected", Permanent),
        ({"status": 401}, "credentials_refused", Permanent),
        ({"status": 403}, "credentials_refused", Permanent),
        ({"status": 404}, "source_refused", Permanent),
        ({"status": 204}, "source_refused", Permanent),
        ({"status": 429, "headers": {"retry-after": "7"}}, "source_rate_limited", RateLimited),
        ({"status": 500}, "source_unavailable", Transient),
    ],
)
def test_each_way_to_fail_has_its_code(
    asking: Callable[..., Found], script: dict[str, Any], code: str, kind: type[JobError]
) -> None:
    with pytest.raises(kind) as failed:
        asking(**script)

    assert failed.value.job_code == code


def test_an_answer_beyond_the_limit_is_refused(asking: Callable[..., Found]) -> None:
    with pytest.raises(Permanent) as refused:
        asking({"hits": [{**ONE, "snippet": "x" * ANSWER_LIMIT}]})

    assert refused.value.job_code == "answer_too_large"


@pytest.mark.parametrize("script", [{"delay": 30.0}, {"drip": 0.1}, {"held": True}])
def test_a_source_that_takes_too_long_is_left_at_the_moment(
    asking: Callable[..., Found], double: SourceDouble, script: dict[str, Any]
) -> None:
    began = time.monotonic()
    with pytest.raises(Transient) as failed:
        asking(hits(*(f"h{number}" for number in range(50))), seconds=0.5, **script)

    assert failed.value.job_code == "timeout"
    assert time.monotonic() - began < 10
    double.released.set()
    double.released.clear()


@pytest.mark.parametrize("allowed", ["", "10.0.0.0/8"])
def test_a_source_inside_is_not_asked(double: SourceDouble, allowed: str) -> None:
    url = double.source("inside")
    port = url.rpartition(":")[2].partition("/")[0]

    with pytest.raises(JobError) as refused:
        ask(
            Endpoint("wiki", f"http://localhost:{port}/inside", "X-Key", None), Query(new_id(), "x", 5),
            allowed=parse_networks(allowed), seconds=20,
        )  # fmt: skip

    assert refused.value.job_code == "address_refused"
    assert double.questions("inside") == []


def test_nothing_of_an_answer_is_in_the_error(asking: Callable[..., Found]) -> None:
    with pytest.raises(Permanent) as refused:
        asking({"hits": [{"id": "a", "title": {"secret": "sesame"}}]})

    assert "sesame" not in json.dumps([refused.value.detail, refused.value.job_code])


def test_the_schema_that_is_published_fits_what_is_said(double: SourceDouble) -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "search-source.schema.json").read_text())
    question, answer = ({**schema, "$ref": f"#/$defs/{name}"} for name in ("question", "answer"))
    Draft202012Validator.check_schema(schema)

    ask(
        Endpoint("wiki", double.source("schema"), "X-Key", None), Query(new_id(), "travel", 50, "semantic", {"a": 1}),
        allowed=LOOPBACK, seconds=20,
    )  # fmt: skip

    Draft202012Validator(question).validate(double.asked[-1][2])
    fits = Draft202012Validator(answer)
    fits.validate(hits("a", "b", url="https://example.com/", canonical_id="x"))
    fits.validate({"hits": [{"id": "a", "more": 1}], "took": 5})
    for bad in ({}, {"hits": {}}, {"hits": [{}]}, {"hits": [{"id": 5}]}, {"hits": [{"id": "a", "title": 5}]}):
        assert not fits.is_valid(bad)
        with pytest.raises(Malformed):
            read_answer(json.dumps(bad).encode(), "wiki", 50)
