"""What pages have in common."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.dashboard.pages import PAGES
from taskbridge.testing import a_message

from .conftest import Browser


@pytest.mark.parametrize("page", [page for page in PAGES if page.menu], ids=lambda page: page.name)
def test_every_page_is_shown_of_an_empty_store(browser: Browser, page):
    """With its title, whole, and as a fragment."""
    whole, part = browser.get(page.path), browser.get(page.path + "?fragment=1")

    assert (200, 200) == (whole.status_code, part.status_code), whole.text
    assert f"<title>{page.title} · taskbridge</title>" in whole.text
    assert "<html" not in part.text


def test_the_first_page_counts(browser: Browser, bridge: Bridge):
    """What the store keeps, by queue and state."""
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)

    shown = browser.get("/")

    assert "emails" in shown.text
    assert "Kept in the store</span>" in shown.text
