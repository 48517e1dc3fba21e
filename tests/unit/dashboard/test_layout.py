"""What pages look like in a Chromium without a screen: how wide they are, and how their figures stand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page as Tab

from taskbridge import Bridge
from tests.chromium import STEP_MS

from .conftest import TOKEN
from .scene import TASK, build
from .test_access import PATHS
from .test_browser import serving

#: How far down each of a page's figures stands.
TOPS = "[...document.querySelectorAll('.cards .card')].map(card => card.getBoundingClientRect().top)"


@pytest.fixture
def tab(chromium: Chromium) -> Iterator[Tab]:
    context = chromium.new_context()
    context.set_default_timeout(STEP_MS)
    yield context.new_page()
    context.close()


def sign_in(tab: Tab, url: str) -> None:
    tab.goto(url + "sign-in")
    tab.fill("input[name=token]", TOKEN)
    tab.keyboard.press("Enter")
    tab.wait_for_url(url)


@pytest.mark.parametrize("width", [320, 768])
def test_no_page_is_wider_than_a_narrow_window(tab: Tab, bridge: Bridge, width: int):
    """With buttons and all, on a telephone too; what is wide scrolls inside its own frame."""
    build(bridge)
    tab.set_viewport_size({"width": width, "height": 800})

    with serving(bridge, refresh=60) as url:
        sign_in(tab, url)
        wide = {}
        for path in PATHS:
            tab.goto(url.rstrip("/") + path)
            wide[path] = tab.evaluate("document.documentElement.scrollWidth")

    assert {} == {path: pixels for path, pixels in wide.items() if pixels > width}


def test_the_ten_figures_of_a_queue_stand_in_two_whole_rows(tab: Tab, bridge: Bridge):
    """None is left alone below the others."""
    build(bridge)
    tab.set_viewport_size({"width": 1280, "height": 800})

    with serving(bridge, refresh=60) as url:
        tab.goto(url + "queue?name=emails")
        tops = tab.evaluate(
            "[...document.querySelectorAll('.cards .card')].map(card => card.getBoundingClientRect().top)"
        )

    assert [5, 5] == [tops.count(top) for top in sorted(set(tops))]


def test_a_step_says_nothing_twice(tab: Tab, bridge: Bridge):
    """Neither its own name, nor where it was begun."""
    build(bridge)

    with serving(bridge, refresh=60) as url:
        tab.goto(url + "message?id=dead-1")
        steps = [" ".join(text.split()) for text in tab.locator("ol.steps li").all_inner_texts()]
        facts = tab.locator("dl.facts").first.inner_text()

    assert TASK in facts
    assert "begun once" in facts
    assert all(text.count("enqueued") <= 1 and text.count("celery") <= 1 for text in steps), steps
