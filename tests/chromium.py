"""A Chromium without a screen for tests, driven by Playwright: the one that is installed, one for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .servers import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Debian's, Ubuntu's and Google's names of it.
NAMES = ("chromium", "chromium-browser", "google-chrome")

#: How long one step of a page may take, milliseconds.
STEP_MS = 20_000


def some_chromium() -> str:
    """Return its path, or skip."""
    return next((path for name in NAMES if (path := shutil.which(name))), None) or missing("chromium")


@contextmanager
def some_browser() -> Iterator[Browser]:
    """Start it; as root it has no sandbox of its own."""
    from playwright.sync_api import expect, sync_playwright  # not every test process drives one

    path = some_chromium()
    expect.set_options(timeout=STEP_MS)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield made
        finally:
            made.close()
