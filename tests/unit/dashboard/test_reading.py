"""Pages as they are read: parts of lists, what goes wrong on the way, and what is shown of arguments."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import pytest
from jinja2 import ChoiceLoader, DictLoader

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.page import Look, Page
from taskbridge.dashboard.pages import PAGES
from taskbridge.dashboard.rendering import environment
from taskbridge.errors import BrokerUnavailable, ConfigError, StoreUnavailable, UnknownMessage
from taskbridge.message import Message
from taskbridge.operations.disclosure import NAMELESS
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import begin

from .conftest import TOKEN, Browser

ROWS = """{% extends layout %}{% import "parts.html" as parts with context %}{% block content %}
{% for one in part.rows %}<p>row {{ one }}.</p>{% endfor %}{{ parts.pager("mine", part, q="a b") }}{% endblock %}"""

#: Templates are kept by name.
NUMBERS = count()

Make = Callable[[Callable[[Look], dict[str, Any]], str], Browser]


@pytest.fixture
def make(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a dashboard with a page of the test's own, ``/mine``."""

    def made(read: Callable[[Look], dict[str, Any]], template: str) -> Browser:
        templates = environment()
        monkeypatch.setattr(
            templates, "loader", ChoiceLoader([DictLoader({f"{id(read)}": template}), templates.loader])
        )
        page = Page(name="mine", path="/mine", title="Mine", template=f"{id(read)}", read=read)
        return Browser(Dashboard(bridge, token=TOKEN, pages=(*PAGES, page)))

    return made


@pytest.mark.parametrize(
    ("query", "first", "last", "links"),
    [
        ("", 0, 49, {"offset=50&amp;limit=50"}),
        ("?offset=50", 50, 99, {"offset=0&amp;limit=50", "offset=100&amp;limit=50"}),
        ("?offset=110&limit=20", 110, 119, {"offset=90&amp;limit=20"}),
    ],
)
def test_a_list_is_shown_in_parts(make: Make, query: str, first: int, last: int, links: set[str]):
    """With the ways on and back, and where one is."""
    text = make(lambda look: {"part": look.part_of(range(120))}, ROWS).get(f"/mine{query}").text

    rows = [int(one) for one in re.findall(r"row (\d+)\.", text)]
    assert (first, last, last - first + 1) == (rows[0], rows[-1], len(rows))
    assert f"{first + 1} to {last + 1} of 120" in text
    assert links == {one.replace("&amp;q=a+b", "") for one in re.findall(r'/mine\?([^"]*)" rel', text)}


def test_a_part_past_the_end_says_so(make: Make):
    """With the way back to the start; what is no number of a row is refused."""
    browser = make(lambda look: {"part": look.part_of(range(120))}, ROWS)

    past = browser.get("/mine?offset=1000000")

    assert 200 == past.status_code
    assert "The list ends before row 1,000,001." in past.text
    assert "row 0." not in past.text
    for query in ("offset=-1", "offset=x", "limit=0", "limit=501", "offset=9999999999999"):
        refused = browser.get(f"/mine?{query}")
        assert 400 == refused.status_code, query
        assert "expected a whole number from" in refused.text


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UnknownMessage("no message is called x"), 404, "no message is called x"),
        (ConfigError("that is no state"), 400, "that is no state"),
        (StoreUnavailable("redis://h does not answer"), 503, "The store is away"),
        (BrokerUnavailable("amqp://h does not answer"), 503, "A broker is away"),
    ],
)
def test_what_goes_wrong_is_a_page_of_its_own(make: Make, error: Exception, status: int, told: str):
    """What is away is asked for again by the script; the rest is as it is."""

    def read(_look: Look) -> dict[str, Any]:
        raise error

    answer = make(read, ROWS).get("/mine")

    assert status == answer.status_code
    assert told in answer.text
    assert (status == 503) is ("data-recovers" in answer.text) is ('data-every="5.0"' in answer.text)


def test_a_fault_of_its_own_tells_no_more_than_an_id(make: Make, caplog: pytest.LogCaptureFixture):
    """The log has the rest, under it."""

    def read(_look: Look) -> dict[str, Any]:
        raise RuntimeError("hush")

    with caplog.at_level(logging.ERROR, "taskbridge.dashboard"):
        answer = make(read, ROWS).get("/mine")

    (id,) = re.findall(r"error&#39;s id: (\w+)", answer.text)
    assert 500 == answer.status_code
    assert "hush" not in answer.text
    assert id in caplog.text
    assert "RuntimeError: hush" in caplog.text


def test_a_name_that_a_template_misspells_is_a_fault(make: Make):
    """And not an empty place."""
    template = "{% extends layout %}{% block content %}{{ nubmer }}{% endblock %}"

    assert 500 == make(lambda _look: {"number": 1}, template).get("/mine").status_code


def test_arguments_are_shown_without_what_is_secret(browser: Browser, bridge: Bridge):
    """By name, those of a live worker's task, too; a value without a name is not shown."""
    announce(
        bridge.store,
        Announcement(
            name="w", backends=["celery"], queues=["mail"], processes=1, tasks={"bank.pay": []},
            known={"bank.pay": Known(queue="mail", positional=("user", "password"))},
        ),
    )  # fmt: skip
    args = msgspec.Raw(b'["<b>Otto</b>", "hunter2"]')
    kwargs = msgspec.Raw(b'{"card": {"cvv": "not in hex", "last": 4242}, "url": "https://u:hush@host/"}')

    def shown(message: Message) -> str:
        begin(bridge.store, message, "c1")
        return browser.get(f"/message?id={message.id}").text

    known = shown(a_message(task="bank.pay", args=args, kwargs=kwargs))
    unknown = shown(a_message(task="other.task", args=args))

    assert "&lt;b&gt;Otto&lt;/b&gt;" in known
    assert "4242" in known
    assert not [secret for secret in ("hunter2", "not in hex", "hush") if secret in known]
    assert NAMELESS.partition("'")[0] in unknown
    assert not [secret for secret in ("hunter2", "Otto") if secret in unknown]
