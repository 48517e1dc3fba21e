"""The dashboard in a Chromium without a screen: keys, colours, what is live, and what messages must not do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from taskbridge import Bridge, Settings
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.page import Look, Page
from taskbridge.dashboard.pages import PAGES
from taskbridge.dashboard.rendering import environment
from taskbridge.dashboard.serving import Serving
from taskbridge.message import encode
from taskbridge.needs import NeedsLock
from taskbridge.observe.exposition import Address
from taskbridge.store import Begin, Finish
from taskbridge.testing import a_message
from tests.chromium import STEP_MS
from tests.servers import RedisServer, until

from .conftest import TOKEN

#: What hits if anything of a message is taken for HTML or script, or steers a terminal.
EVIL = "<img src=x onerror=hit()><script>hit()</script>'\"--></style>\x1b[2J\u202e{{7*7}}"

#: How one sees that it was shown, and as text.
SHOWN = "<img src=x onerror=hit()>"

#: A page that is all about being read anew: each time it has another number.
LIVELY = """{% extends layout %}{% block content %}<h1>Lively</h1>
<p id="number">{{ number }}</p>
{% if number > 1 %}<p id="later">later</p>{% endif %}
<details id="more"><summary>More</summary><p>deep</p></details>
<form method="post" action="{{ url("theme") }}" id="form"><label>Rate <input name="rate" value="1"></label>
<label>Share <input name="share" id="share" value="{{ number }}"></label></form>
<p id="quote">words to select</p>
{% for row in rows %}<p id="row-{{ row }}" class="row"><a href="{{ url("overview") }}">row {{ row }}</a></p>{% endfor %}
{% endblock %}"""


@contextmanager
def serving(bridge: Bridge, **options: Any) -> Iterator[str]:
    """A dashboard that reads anew all the time; its URL."""
    served = Serving(Dashboard(bridge, **({"token": TOKEN, "refresh": 0.1} | options)), Address("127.0.0.1", 0))
    try:
        yield served.url
    finally:
        served.close()


@pytest.fixture
def tab(chromium: Chromium) -> Iterator[Tab]:
    """A window of its own; what its console says against a page fails the test."""
    context = chromium.new_context()
    context.set_default_timeout(STEP_MS)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [] == [text for text in said if not WANTED.search(text)]


#: What a console says of answers that are no page: they are the tests' own wish.
WANTED = re.compile(r"the server responded with a status of|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE")


@pytest.fixture
def lively(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A dashboard whose second page is LIVELY; its URL."""
    numbers: Iterator[int] = iter(range(1, 100_000))

    def read(look: Look) -> dict[str, Any]:
        number = next(numbers)
        return {"number": number, "rows": range(number % 3, number % 3 + 40)}

    made = environment()
    monkeypatch.setattr(made, "loader", ChoiceLoader([DictLoader({"lively.html": LIVELY}), made.loader]))
    page = Page(name="lively", path="/lively", title="Lively", template="lively.html", read=read)
    with serving(bridge, pages=(*PAGES, page)) as url:
        yield url + "lively"


def color(tab: Tab) -> str:
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))


def press_until(tab: Tab, found: Callable[[], bool], what: str) -> None:
    """Press Tab until the focus is there, as somebody does who has no mouse."""
    for _ in range(60):
        if found():
            return
        tab.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not lead to {what}")


def focus_is(tab: Tab, selector: str) -> Callable[[], bool]:
    return lambda: bool(tab.evaluate("one => document.activeElement.matches(one)", selector))


def test_a_field_that_nobody_has_touched_is_as_new_as_the_page(tab: Tab, lively: str):
    """Else its button would send what was true when the page was opened: an old share, an old number of processes."""
    tab.goto(lively)
    share, number = tab.locator("#share"), tab.locator("#number")
    opened = share.input_value()

    expect(share).not_to_have_value(opened)
    share.fill("50")
    seen = number.inner_text()
    expect(number).not_to_have_text(seen)

    assert "50" == share.input_value()


def test_everything_is_done_by_keys(tab: Tab, bridge: Bridge):
    """Past the menu, paused and live, coloured, signed in and out: no mouse, and one sees where one is."""
    with serving(bridge) as url:
        tab.goto(url)
        tab.keyboard.press("Tab")
        expect(tab.get_by_text("Skip to the content")).to_be_in_viewport()
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.activeElement.id") == "content"
        tab.reload()

        press_until(tab, focus_is(tab, "#live"), "the switch of what is live")
        assert "solid" == tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        tab.keyboard.press("Space")
        expect(tab.locator("#live")).to_have_text("Paused")
        tab.keyboard.press("Space")
        expect(tab.locator("#live")).to_have_attribute("aria-pressed", "true")

        press_until(tab, focus_is(tab, "#theme-choice"), "the colours")
        tab.keyboard.type("Dark")
        expect(tab.locator("html")).to_have_attribute("data-theme", "dark")

        press_until(tab, focus_is(tab, "a[href^='/sign-in']"), "signing in")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("heading", level=1)).to_have_text("Sign in")
        press_until(tab, focus_is(tab, "#token"), "the token")
        tab.keyboard.type(TOKEN)
        tab.keyboard.press("Tab")
        tab.keyboard.type("ada")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("status").first).to_contain_text("You are signed in.")

        press_until(tab, lambda: tab.evaluate("document.activeElement.textContent") == "Sign out", "signing out")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("status").first).to_contain_text("You are signed out.")


def test_it_is_light_or_dark(tab: Tab, bridge: Bridge):
    """As the system is, unless somebody has chosen; the choice stays, and needs no script."""
    with serving(bridge) as url:
        tab.goto(url)
        light = color(tab)
        tab.emulate_media(color_scheme="dark")
        dark = color(tab)
        tab.locator("#theme-choice").select_option("light")
        chosen = color(tab)
        tab.reload()
        kept = color(tab)
        plain = tab.context.browser.new_context(java_script_enabled=False, color_scheme="light")
        other = plain.new_page()
        other.goto(url)
        other.locator("#theme-choice").select_option("dark")
        other.get_by_role("button", name="Set").click()
        expect(other.locator("html")).to_have_attribute("data-theme", "dark")
        plain.close()

    assert light != dark
    assert [light, light] == [chosen, kept]


def test_what_is_live_takes_nothing_out_of_ones_hands(tab: Tab, lively: str):
    """Numbers change; the focus, what is typed, open, selected and scrolled to stay, and so do elements themselves."""
    tab.goto(lively)
    tab.locator("summary").click()
    tab.locator("input[name=rate]").fill("70/s")
    tab.locator("input[name=rate]").evaluate("one => { one.setSelectionRange(1, 2); one.mine = true; }")
    before = int(tab.locator("#number").inner_text())
    tab.evaluate("scrollTo(0, 200)")

    expect(tab.locator("#number")).not_to_have_text(str(before))
    expect(tab.locator("#later")).to_be_visible()
    for _ in range(2):
        seen = tab.locator("#number").inner_text()
        expect(tab.locator("#number")).not_to_have_text(seen)

    state = tab.evaluate(
        """() => { const one = document.activeElement, more = document.querySelector("#more");
        return [one.name, one.value, one.selectionStart, one.selectionEnd, one.mine, more.open, scrollY]; }"""
    )
    assert ["rate", "70/s", 1, 2, True, True, 200] == state
    rows = tab.locator(".row").all_inner_texts()  # once: the page goes on changing
    assert rows == sorted(rows, key=lambda text: int(text.split()[1]))


def test_what_is_selected_stays_selected(tab: Tab, lively: str):
    """As long as it is, nothing is changed; then it goes on."""
    tab.goto(lively)
    tab.evaluate("getSelection().selectAllChildren(document.getElementById('quote'))")

    def stands_still() -> str:
        """The number, where it stays what it is; what was asked for before may take its time on a busy machine."""
        seen = tab.locator("#number").inner_text()
        tab.wait_for_timeout(400)
        return seen if seen == tab.locator("#number").inner_text() else ""

    seen = until(stands_still, 20, "nothing to change any more")
    assert "words to select" == tab.evaluate("String(getSelection())")
    tab.evaluate("getSelection().removeAllRanges()")
    expect(tab.locator("#number")).not_to_have_text(seen)


def test_paused_is_paused(tab: Tab, lively: str):
    """Also on the next page of the same window, until it is pressed again."""
    tab.goto(lively)
    tab.get_by_role("button", name="Live").click()
    tab.reload()
    seen = tab.locator("#number").inner_text()
    tab.wait_for_timeout(400)

    assert seen == tab.locator("#number").inner_text()
    tab.get_by_role("button", name="Paused").click()
    expect(tab.locator("#number")).not_to_have_text(seen)


def test_messages_run_nothing_and_steer_nothing(tab: Tab, bridge: Bridge):
    """HTML, scripts and escapes in names, arguments, errors and keys are shown as text on every page."""
    evil(bridge)
    with serving(bridge) as url:
        tab.add_init_script("window.hits = 0; window.hit = () => { window.hits += 1; };")
        tab.goto(url + "sign-in")
        tab.locator("#token").fill(TOKEN)
        tab.locator("#who").fill(EVIL)
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("status").first).to_contain_text("You are signed in.")
        for page in PAGES:
            answer = tab.goto(url.rstrip("/") + page.path)
            assert answer.status in (200, 400, 404), page.name  # some want to know of what
            assert [0, 0] == [tab.evaluate("hits"), tab.locator("#content img, #content script").count()], page.name
            text = tab.locator("body").inner_text()
            assert not {"\x1b", "\u202e"} & set(text), page.name
            assert "49" not in tab.locator("header").inner_text()
        tab.goto(url)
        assert SHOWN in tab.locator("#content").inner_text()
        assert SHOWN[:20] in tab.locator("header").inner_text()


def evil(bridge: Bridge) -> None:
    """Put EVIL into whatever a message can say."""
    store = bridge.store
    message = a_message(task=EVIL, queue=EVIL, kwargs=b'{"name": "<img src=x onerror=hit()>"}')
    claim = "host.1:celery:1"
    store.claims.begin(
        Begin(message=message, body=encode(message), claim=claim, max_crashes=5, locks=(NeedsLock(EVIL),))
    )
    store.claims.finish(
        Finish(id=message.id, claim=claim, state="DEAD", why=EVIL, traceback=EVIL, body=encode(message))
    )
    for n in range(2):
        one = a_message(task=EVIL, queue=EVIL)
        store.claims.begin(
            Begin(message=one, body=encode(one), claim=f"{EVIL}:celery:{n}", max_crashes=5, locks=(NeedsLock(EVIL),))
        )
    store.dead.bury("bytes-1", EVIL, EVIL.encode(), EVIL, None)
    store.outbox.put([a_message(task=EVIL, queue=EVIL)], 60_000)


def test_no_page_breaks_its_own_policy(tab: Tab, bridge: Bridge):
    """And none asks for anything of another host: the console would say so, and the test would fail."""
    asked: set[str] = set()
    tab.on("request", lambda request: asked.add(request.url.split("/")[2]))
    with serving(bridge) as url:
        for path in [page.path for page in PAGES] + ["/sign-in", "/nope"]:
            tab.goto(url.rstrip("/") + path)
            tab.wait_for_timeout(150)  # it is read anew

    assert {url.split("/")[2]} == asked


def test_it_is_shown_in_no_frame(tab: Tab, bridge: Bridge):
    """A page that would have one click through it gets nothing."""
    with serving(bridge) as url:
        tab.goto(url + "static/mark.svg")
        tab.goto("about:blank")
        refused: list[str] = []
        tab.on("requestfailed", lambda request: refused.append(request.failure or ""))
        tab.set_content(f'<iframe src="{url}"></iframe>')
        until(lambda: tab.wait_for_timeout(20) or refused, 20, "the frame to be refused")

    assert "BLOCKED" in refused[0].upper()


def test_a_store_that_goes_away_while_a_page_is_open(tab: Tab):
    """It keeps what it has and says how old that is; one that is opened meanwhile says why; both recover."""
    with RedisServer() as server:
        bridge = Bridge(Settings(broker_url=server.url()))
        bridge.store.outbox.put([a_message(queue="emails")], 60_000)
        with serving(bridge) as url:
            tab.goto(url)
            late = tab.context.new_page()
            expect(tab.locator("#content")).to_contain_text("emails")
            server.stop()

            expect(tab.locator("#old")).to_contain_text("The store or a broker is away. What you see is of ")
            expect(tab.locator("#content")).to_contain_text("emails")
            assert 503 == late.goto(url).status
            expect(late.get_by_role("heading", level=1)).to_have_text("The store is away")

            server.start()
            expect(tab.locator("#old")).to_be_hidden(timeout=30_000)
            expect(late.get_by_role("heading", level=1)).to_have_text("Overview", timeout=30_000)
        bridge.close()
