"""Signing in and out: cookies that cannot be taken, guesses that are slowed, and nothing lost on the way."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.dashboard import Dashboard
from taskbridge.errors import ConfigError
from taskbridge.operations import limits
from taskbridge.testing import FakeClock

from .conftest import TOKEN, Browser

READ_TOKEN = "a-token-that-only-reads-and-is-long"


class Clock(FakeClock):
    def agree_with(self, store_now_ms: int) -> None: ...


@pytest.fixture
def clock(bridge: Bridge) -> Clock:
    bridge.clock = made = Clock()
    return made


def test_a_session_is_kept_where_no_script_and_no_site_reaches_it(browser: Browser):
    """HttpOnly, of this site alone, below where it is mounted; only by TLS where it came by TLS."""
    plain = browser.sign_in()
    origin = {"Origin": "https://localhost"}
    secure = browser.client.post("/sign-in", base_url="https://localhost/x", data={"token": TOKEN}, headers=origin)

    assert "303 SEE OTHER" == plain.status
    (cookie,) = [one for one in plain.headers.getlist("Set-Cookie") if one.startswith("session_")]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/;"))
    assert "Secure" not in cookie
    (cookie,) = [one for one in secure.headers.getlist("Set-Cookie") if one.startswith("session_")]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/x;"))


def test_who_is_signed_in_is_shown_and_leaves_again(browser: Browser):
    """By the name that was given; then the page says that nobody is."""
    browser.sign_in(who="Ada <b>")
    inside = browser.get("/").text
    again = browser.get("/").text
    browser.post("/sign-out")
    outside = browser.get("/").text

    assert "Ada &lt;b&gt;" in inside
    assert "You are signed in." in inside
    assert "You are signed in." not in again
    assert "Sign out" not in outside
    assert "You are signed out." in outside


def test_wrong_tokens_are_slowed(clock: Clock, browser: Browser):
    """Five at once, then one each twelve seconds, the right one included; another address is not kept waiting."""
    wrong = [browser.sign_in("wrong" * 8).status_code for _ in range(6)]
    right = browser.sign_in()
    other = browser.client.post(
        "/sign-in", base_url="http://localhost", data={"token": TOKEN}, environ_overrides={"REMOTE_ADDR": "10.0.0.9"}
    )
    clock.advance(12)
    later = browser.sign_in()

    assert [403] * 5 + [429] == wrong
    assert (429, "12") == (right.status_code, right.headers["Retry-After"])
    assert (303, 303) == (other.status_code, later.status_code)


def test_what_was_asked_for_is_kept_over_a_session_that_is_over(clock: Clock, browser: Browser, bridge: Bridge):
    """It is said, nothing is done, and after signing in it is asked once more with all that was written."""
    browser.sign_in()
    form = {"form_token": browser.form_token(), "name": "provider", "rate": "7/s", "back": "/"}
    clock.advance(12 * 3600)

    over = browser.post("/act/limit.set", form)
    nothing = limits.limits(bridge)
    asked = browser.post("/sign-in", {"token": TOKEN, "pending": "limit.set", "name": "provider", "rate": "7/s"})
    still_nothing = limits.limits(bridge)
    done = browser.act("limit.set", name="provider", rate="7/s")

    assert 401 == over.status_code
    assert "Your session was over" in over.text
    assert all(text in over.text for text in ('name="rate" value="7/s"', 'name="pending" value="limit.set"'))
    assert ([], []) == (nothing, still_nothing)
    assert 'name="rate" value="7/s"' in asked.text
    assert (303, ["provider"]) == (done.status_code, [one.name for one in limits.limits(bridge)])


def test_reading_may_need_a_token(bridge: Bridge):
    """Then no page shows anything before one has signed in, and one leads back to what was asked for."""
    browser = Browser(Dashboard(bridge, token=TOKEN, read_token=READ_TOKEN))
    bridge.store.outbox.put([], 0)

    before = browser.get("/?limit=7"), browser.get("/?fragment=1")
    arrived = browser.post("/sign-in", {"token": READ_TOKEN, "back": "/?limit=7"})
    after = browser.get("/")
    acted = browser.post("/act/limit.pause", {"name": "provider"})

    assert [401, 401] == [one.status_code for one in before]
    assert 'name="back" value="/?limit=7"' in before[0].text
    assert "Overview" not in before[0].text
    assert "/?limit=7" == arrived.headers["Location"]
    assert (200, 403) == (after.status_code, acted.status_code)
    assert "only reads" in acted.text


@pytest.mark.parametrize("back", ["//evil.example", "http://evil.example/", "/\\evil.example", "javascript:x", "/nope"])
def test_nobody_is_led_elsewhere(browser: Browser, back: str):
    """Whatever a form says, one comes back to a page of the dashboard."""
    assert "/" == browser.post("/sign-in", {"token": TOKEN, "back": back}).headers["Location"]


def test_without_a_token_nobody_signs_in(bridge: Bridge):
    """It says so, also to who tries; and one that nobody could read is refused."""
    browser = Browser(Dashboard(bridge))

    assert "read-only" in browser.get("/").text
    assert 403 == browser.sign_in("").status_code
    assert 403 == browser.post("/act/limit.pause", {"name": "provider"}).status_code
    with pytest.raises(ConfigError, match="nobody could read"):
        Dashboard(bridge, anonymous_reading=False)
