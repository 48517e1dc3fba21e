"""Pages for who does not see them: everything has a name, and no two things that differ have the same one."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import pytest

from taskbridge import Bridge
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import run

from .conftest import Browser
from .scene import LOCK, TASK, build

PATHS = [
    *("/", "/queues", "/queue?name=emails", "/tasks", f"/task?name={TASK}", "/workers", "/messages?shelf=running"),
    *("/messages?shelf=delayed", "/message", "/message?id=dead-1", "/dead", f"/dead?task={TASK}", "/locks"),
    *(f"/lock?key={LOCK}", "/limits", "/limit?key=provider:1", "/runs", "/batches", "/chains", "/schedules", "/routes"),
    *("/migration", "/migration?id=m1", "/paused", "/audit", "/sign-in", "/nope"),
]


class Outline(HTMLParser):
    """What a page has: ids, headings, landmarks that search, buttons with where they lead, fields without a label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.ids: Counter[str] = Counter()
        self.headings = 0
        self.searches: list[str] = []
        self.buttons: dict[str, set[str]] = {}
        self.nameless: list[str] = []
        self._labels = text
        self._form: list[str] = []
        self._inside: list[str] = []
        self._button: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag not in ("input", "img", "link", "meta", "br", "path", "rect", "line", "polyline"):
            self._inside.append(tag)
        self.ids.update([found["id"]] if "id" in found else [])
        self.headings += tag == "h1"
        if tag == "form":
            self._form = [found.get("action", "")]
        if found.get("role") == "search":
            self.searches.append(found.get("aria-label", ""))
        if tag == "input" and found.get("type") == "hidden":
            self._form.append(found["value"])
        elif tag in ("input", "select"):
            named = "aria-label" in found or "label" in self._inside or f'for="{found.get("id")}"' in self._labels
            self.nameless += [] if named else [str(found)]
        if tag == "button":
            self._button = found.get("aria-label", "")

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] == ["title"]:
            self.title += data
        if self._button is not None and not self._button:
            self._button = data.strip()

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass
        if tag == "button" and self._button is not None:
            self.buttons.setdefault(self._button, set()).add(" ".join(self._form))
            self._button = None


@pytest.fixture
def signed_in(browser: Browser, bridge: Bridge) -> Browser:
    """In a store that has something of everything, and several of some of it."""
    build(bridge)
    for n in (2, 3):
        run(bridge.store, a_message(id=f"dead-{n}", task=TASK, queue="emails"), f"c{n}", "DEAD", why="OSError: away")
    browser.sign_in()
    return browser


@pytest.mark.parametrize("path", PATHS)
def test_everything_has_a_name_of_its_own(signed_in: Browser, path: str):
    """A button says what it does to what, a field what it is for, a search what of; an id is one thing's."""
    page = Outline(signed_in.get(path).text)

    assert 1 == page.headings
    assert [] == [id for id, times in page.ids.items() if times > 1]
    assert [] == page.nameless
    assert len(page.searches) == len({*page.searches} - {""})
    assert {} == {name: does for name, does in page.buttons.items() if not name or len(does) > 1}


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/queue?name=emails", "Queue emails"), (f"/task?name={TASK}", f"Task {TASK}"), ("/message", "Message"),
        ("/message?id=dead-1", "Message dead-1"), (f"/lock?key={LOCK}", f"Lock {LOCK}"),
        ("/limit?key=provider:1", "Limit's key provider:1"), ("/migration?id=m1", "Migration m1"),
        ("/dead", "Dead letters"),
    ],
)  # fmt: skip
def test_title_says_what_the_page_is_of(signed_in: Browser, path: str, title: str):
    """It is what a tab is called, and all that is read aloud of one."""
    assert f"{title} · taskbridge" == Outline(signed_in.get(path).text).title
