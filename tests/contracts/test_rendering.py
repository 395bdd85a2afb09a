"""Templates of tenants: what they may do, and that what they may not do ends cleanly."""

from __future__ import annotations

import os
import signal

import pytest

from providers.rendering import RenderFailed, cage, render, render_many


def failure(source: str, part: str = "text", **data: object) -> str:
    with pytest.raises(RenderFailed) as raised:
        render({part: source}, data)
    return raised.value.job_code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{ 'a' * (10 ** 9) }}", "template_too_expensive"),
        ("{% for i in range(10 ** 9) %}a{% endfor %}", "template_too_expensive"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "template_too_expensive"),
        ("{{ 'a' * 600000 }}", "template_output_too_large"),
        ("{{ ''.__class__.__mro__ }}", "template_forbidden"),
        ("{{ cycler.__init__.__globals__ }}", "template_forbidden"),
        ("{{ [1].append(2) }}", "template_forbidden"),
        ("{{ unheard_of }}", "template_variable_missing"),
        ("{{ name.unheard_of }}", "template_variable_missing"),
        ("{{ name", "template_invalid"),
        ("{{ 1 / 0 }}", "template_invalid"),
        ("{% include 'etc/passwd' %}", "template_invalid"),
    ],
)
def test_a_hostile_or_broken_template_ends_with_a_code(source: str, code: str) -> None:
    assert failure(source, name="Ada") == code


def test_after_a_hostile_template_the_next_one_is_rendered() -> None:
    failure("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")
    assert render({"text": "Hello {{ name }}"}, {"name": "Ada"}) == {"text": "Hello Ada"}


def test_html_is_escaped_and_cleaned_and_text_is_not() -> None:
    parts = {
        "html": '<p onclick="x()" style="color:red;position:fixed">{{ name }}</p><script>1</script><a href="javascript:x">k</a>',
        "text": "{{ name }}",
    }
    assert render(parts, {"name": "<i>Ada"}) == {
        "html": '<p style="color:red">&lt;i&gt;Ada</p><a rel="noopener noreferrer">k</a>',
        "text": "<i>Ada",
    }


@pytest.mark.parametrize("linebreak", ["\r\nBcc: evil@example.com", "\n", "\r"])
def test_a_line_break_cannot_get_into_a_subject(linebreak: str) -> None:
    assert failure("Hello {{ name }}", part="subject", name=f"Ada{linebreak}") == "invalid_header"


def test_many_are_rendered_at_once_and_each_has_its_own_answer() -> None:
    answers = render_many({"text": "{{ n }}"}, [{"n": 1}, {}, {"n": 3}])
    assert [getattr(answer, "job_code", answer) for answer in answers] == [
        {"text": "1"}, "template_variable_missing", {"text": "3"}
    ]  # fmt: skip


def test_the_renderer_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_MASTER_KEYS", "secret")
    cage.close()
    render({"text": "a"}, {})
    (child,) = cage._idle
    with open(f"/proc/{child._process.pid}/environ", "rb") as environment:  # noqa: PTH123 - of another process
        assert environment.read() == b""


def test_a_renderer_that_was_killed_is_replaced() -> None:
    render({"text": "a"}, {})
    for child in list(cage._idle):
        os.kill(child._process.pid, signal.SIGKILL)
        child._process.wait()
    assert render({"text": "b"}, {}) == {"text": "b"}
