"""What comes before everything: hosts, origins, methods, sizes; and what every answer tells the browser."""

from __future__ import annotations

import pytest

from taskbridge import Bridge, Settings
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.guard import LOOPBACK
from taskbridge.errors import ConfigError
from tests.servers import RedisServer

from .conftest import TOKEN, Browser


def get(browser: Browser, host: str) -> int:
    return browser.client.get("/", base_url="http://localhost", headers={"Host": host}).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:8090", 200), ("LOCALHOST.", 200), ("127.0.0.1:8090", 200), ("[::1]:8090", 200),
        ("evil.example", 400), ("localhost.evil.example", 400), ("127.0.0.1.evil.example", 400), ("", 400),
        ("[::1", 400), ("localhost@evil.example", 400), ("localhost:evil", 400),
    ],
)  # fmt: skip
def test_only_names_of_its_own_are_answered(browser: Browser, host: str, status: int):
    """A name that leads here is not enough, for anybody can have one that does."""
    assert status == get(browser, host)


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("tasks.example.com", "tasks.example.com:443", 200), ("tasks.example.com", "localhost", 400),
        (".example.com", "a.b.example.com", 200), (".example.com", "example.com", 200),
        (".example.com", "badexample.com", 400), ("*", "anything", 200),
    ],
)  # fmt: skip
def test_names_are_allowed(bridge: Bridge, allowed: str, host: str, status: int):
    """One, all below one, or any."""
    assert status == get(Browser(Dashboard(bridge, allowed_hosts=[allowed], anonymous_reading=True)), host)


@pytest.mark.parametrize("host", ["10.0.0.7:8090", "localhost", ""])
def test_whoever_watches_over_the_process_asks_by_any_name(bridge: Bridge, host: str):
    """Without a token, and without a word of the store, which may be away."""
    browser = Browser(Dashboard(bridge, token=TOKEN, read_token="r" * 16))

    answer = browser.client.get("/healthz", base_url="http://localhost", headers={"Host": host})
    posted = browser.client.post("/healthz", base_url="http://localhost", headers={"Host": host})

    assert (200, "ok\n", 405) == (answer.status_code, answer.text, posted.status_code)
    assert "text/plain" in answer.content_type


@pytest.mark.parametrize("host", ["https://tasks.example.com", "tasks.example.com:443", "a/b", "", "[::1"])
def test_a_name_that_nobody_could_ask_by_is_refused(bridge: Bridge, host: str):
    """It would be no error, and no page would ever be shown by it."""
    with pytest.raises(ConfigError, match="expected a name without scheme and port such as"):
        Dashboard(bridge, allowed_hosts=[host], anonymous_reading=True)


@pytest.mark.parametrize(("hosts", "status"), [(LOOPBACK, 200), ((*LOOPBACK, "tasks.example.com"), 401), (("*",), 401)])
def test_beyond_loopback_nobody_reads_without_a_token(bridge: Bridge, hosts: tuple[str, ...], status: int):
    """Unless it is said that everybody who reaches it may."""
    guarded = Browser(Dashboard(bridge, token=TOKEN, allowed_hosts=hosts))
    open_to_all = Browser(Dashboard(bridge, token=TOKEN, allowed_hosts=hosts, anonymous_reading=True))

    assert (status, 200) == tuple(get(one, hosts[0].replace("*", "a.example")) for one in (guarded, open_to_all))
    with pytest.raises(ConfigError, match="anonymous_reading=True"):
        Dashboard(bridge, allowed_hosts=["tasks.example.com"])


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null", "http://[::1", "http://[x]"])
def test_a_form_from_elsewhere_says_what_did_not_fit(browser: Browser, origin: str):
    """For a proxy that hides the port looks like another site, and whoever runs it must be able to tell."""
    answer = browser.post("/sign-in", {"token": TOKEN}, Origin=origin)

    assert 403 == answer.status_code
    assert f"It is of &#39;{origin}&#39;, and the dashboard was asked as &#39;localhost&#39;" in answer.text


def test_its_cookies_say_nothing_of_the_password_of_the_store(redis_server: RedisServer):
    """Everybody is shown their names: what is made of a password could be compared with that of a guess."""
    names = []
    for password in ("hunter2", "hunter3"):
        bridge = Bridge(Settings(broker_url=redis_server.url().replace("://", f"://:{password}@")))
        made = Browser(Dashboard(bridge, token=TOKEN)).post("/sign-out").headers.getlist("Set-Cookie")
        names.append([one.partition("=")[0] for one in made])
        bridge.close()

    assert names[0] == names[1] != []


@pytest.mark.parametrize("path", ["/", "/?fragment=1", "/nope", "/static/dashboard.css", "/sign-in", "/?limit=x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_closes_the_browser(browser: Browser, path: str, method: str):
    """Nothing from elsewhere, nothing inline, in no frame; pages are kept by nobody."""
    answer = browser.client.open(path, method=method, base_url="http://localhost")

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "DENY" == answer.headers["X-Frame-Options"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "same-origin" == answer.headers["Referrer-Policy"]
    assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
    if method == "HEAD":
        assert "" == answer.text


def test_a_method_that_is_not_meant_is_said(browser: Browser):
    """With those that are."""
    acted, read = browser.get("/act/limit.pause"), browser.post("/")

    assert (405, "POST") == (acted.status_code, acted.headers["Allow"])
    assert (405, {"GET", "HEAD"}) == (read.status_code, set(read.headers["Allow"].split(", ")))


def test_a_form_is_a_small_form(browser: Browser):
    """What is none is refused before it is read, and so is one that is too large."""
    browser.sign_in()
    typed = browser.client.post("/act/limit.pause", base_url="http://localhost", json={"name": "provider"})
    large = browser.post("/act/limit.pause", {"name": "x" * 70_000})
    long = browser.act("limit.pause", name="x" * 3_000)

    assert (415, 413) == (typed.status_code, large.status_code)
    assert "at most 2000 characters" in browser.client.get(long.headers["Location"], base_url="http://localhost").text


def test_what_is_static_is_kept_by_its_version(browser: Browser):
    """Under another one it is asked for each time; nothing but files of the folder is served."""
    page = browser.get("/").text
    link = page.split('rel="stylesheet" href="')[1].split('"')[0]

    kept, asked = browser.get(link), browser.get("/static/dashboard.css?v=old")

    assert "immutable" in kept.headers["Cache-Control"]
    assert ("no-cache", "text/css; charset=utf-8") == (asked.headers["Cache-Control"], asked.content_type)
    assert 304 == browser.get("/static/dashboard.css", headers={"If-None-Match": asked.headers["ETag"]}).status_code
    assert [404] * 3 == [
        browser.get(path).status_code for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/app.py")
    ]


def test_a_page_that_is_not_there_is_said_in_the_look_of_the_others(browser: Browser):
    """What was asked for is shown as text."""
    answer = browser.get("/<script>alert(1)</script>")

    assert 404 == answer.status_code
    assert "<script>alert" not in answer.text
    assert "Skip to the content" in answer.text
    assert TOKEN not in answer.text
