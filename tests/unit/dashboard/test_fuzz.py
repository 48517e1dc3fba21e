"""Without a token nothing changes, whatever is sent to whatever the dashboard answers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskbridge import Bridge
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.actions import ACTIONS
from taskbridge.dashboard.sessions import Session, Sessions
from taskbridge.operations.audit import audit
from tests.servers import RedisServer

from .conftest import TOKEN, Browser
from .scene import Scene, build

READ_TOKEN = "a-token-that-only-reads-and-is-long"

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")

OURS = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

#: Bodies that are no form of ours.
BODIES = (b"", b"\x00\xff" * 50, b'{"name": "provider"}', b"=&=&&%zz%", b"a" * 70_000, b"name=" + b"x" * 3_000)

KINDS = ("application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data; boundary=x", "")


#: What nobody would ask for.
ODD = (
    "",
    "-1",
    "0",
    "99999999999999999999",
    "1e9",
    "NaN",
    "\x00",
    "é" * 10,
    "<script>",
    "' OR 1=1",
    "x" * 3_000,
    "../..",
)

#: Where there is nothing.
NOWHERE = (
    "/../etc/passwd", "//evil.example/", "/act/", "/act/nothing", "/static/..%2fapp.py", "/%00", "/é", "/" + "a" * 9_000
)  # fmt: skip

#: Names of fields that pages and actions know.
FIELDS = ("offset", "limit", "id", "name", "fragment", "q", "back", "theme")

#: What has to be done first, so that an action has something to do.
BEFORE = {
    "migration.pause": ("migration.ramp",),
    "migration.resume": ("migration.ramp", "migration.pause"),
    "migration.finish": ("migration.rollback",),
}


@pytest.fixture
def scene(bridge: Bridge, redis_server: RedisServer) -> Scene:
    """Nothing of it lapses by itself, however busy the machine is."""
    built = build(bridge)
    restore(redis_server.cli(), dump(redis_server.cli()))
    return built


@pytest.fixture
def dashboard(bridge: Bridge) -> Dashboard:
    return Dashboard(bridge, token=TOKEN, read_token=READ_TOKEN, anonymous_reading=True)


#: What looking costs: who looks on has tasks watched, and a dashboard takes its charts' numbers.
LOOKED_ON = {b"{taskbridge}:attended", b"{taskbridge}:history", b"{taskbridge}:leader:dashboard"}


def dump(client: redis.Redis) -> dict[bytes, bytes]:
    """Every key with all that is in it, but for what looking costs."""
    keys = sorted(set(client.scan_iter(count=1_000)) - LOOKED_ON)
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.dump(key)
        return dict(zip(keys, pipe.execute(), strict=True))


def content(client: redis.Redis) -> dict[bytes, Any]:
    """The same, to be compared: a hash that is only read may have its fields in another order afterwards."""
    found: dict[bytes, Any] = dict(dump(client))
    return found | {key: client.hgetall(key) for key in found if client.type(key) == b"hash"}


def visitors(dashboard: Dashboard, bridge: Bridge) -> Iterator[tuple[str, Browser, dict[str, str], dict[str, str]]]:
    """Those who may not, each with what its forms bring and its headers."""
    signed = Browser(dashboard)
    signed.sign_in()
    form_token = signed.form_token()
    yield "nobody", Browser(dashboard), {"form_token": form_token}, OURS
    reader = Browser(dashboard)
    reader.sign_in(READ_TOKEN)
    yield "who only reads", reader, {"form_token": form_token_of(reader)}, OURS
    for what, token in (("a form of no session", "0" * 64), ("a form without its token", ""), ("é", "é" * 64)):
        yield what, signed, {"form_token": token}, OURS
    for what, headers in (
        ("another origin", {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}),
        ("an origin without a site", {"Origin": "http://evil.example"}),
        ("no origin to speak of", {"Origin": "null"}),
        ("another site", {"Sec-Fetch-Site": "same-site"}),
        ("another host", {"Host": "evil.example", "Origin": "http://evil.example"}),
        ("a name that looks alike", {"Host": "localhost.evil.example", "Origin": "http://localhost.evil.example"}),
    ):
        yield what, signed, {"form_token": form_token}, headers
    changed = Browser(dashboard)
    name, value = session_of(signed)
    changed.client.set_cookie(name, value[:-2] + ("00" if value[-2:] != "00" else "11"), domain="localhost")
    yield "a cookie that was changed", changed, {"form_token": form_token}, OURS
    elsewhere = Browser(Dashboard(bridge, token="another-token-of-another-day"))
    elsewhere.sign_in("another-token-of-another-day")
    stale = Browser(dashboard)
    stale.client.set_cookie(*session_of(elsewhere), domain="localhost")
    yield "a session of another token", stale, {"form_token": elsewhere.form_token()}, OURS
    brief = Browser(Dashboard(bridge, token=TOKEN, session=0.001))
    brief.sign_in()
    over = Browser(dashboard)
    over.client.set_cookie(*session_of(brief), domain="localhost")
    yield "a session that is over", over, {"form_token": form_token_of(brief)}, OURS


def form_token_of(browser: Browser) -> str:
    """What a form of its session brings, whatever the session may."""
    sessions = Sessions(TOKEN, READ_TOKEN, 1)
    session = sessions.read(session_of(browser)[1], 0)
    assert isinstance(session, Session)
    return sessions.form_token(session)


def session_of(browser: Browser) -> tuple[str, str]:
    """Its cookie's name and value."""
    cookies = browser.client._cookies or {}
    return next((one.key, one.value) for one in cookies.values() if one.key.startswith("session_"))


def send(browser: Browser, method: str, path: str, **more: Any) -> int:
    headers = dict(more.pop("headers"))
    base = f"http://{headers.pop('Host', 'localhost')}"
    return browser.client.open(path, method=method, base_url=base, headers=headers, **more).status_code


def test_whoever_may_changes_something_by_each_form(
    dashboard: Dashboard, bridge: Bridge, scene: Scene, redis_server: RedisServer
):
    """The forms of the next law bite: with the token, each changes the store, and is in the audit log by its name."""
    client, browser = redis_server.cli(), Browser(dashboard)
    browser.sign_in(who="ada")
    built, idle = dump(client), []

    for name, form in scene.forms().items():
        restore(client, built)
        for first in BEFORE.get(name, ()):
            browser.act(first, id=scene.migration)
        before, noted = content(client), len(audit(bridge.store, 1_000))
        browser.act(name, **form)
        after, entries = content(client), audit(bridge.store, 1_000)
        here = before.keys() | after.keys()
        changed = [key for key in here if not key.endswith(b":audit") and before.get(key) != after.get(key)]
        if not changed or (1, "dashboard:ada") != (len(entries) - noted, entries[0].who):
            idle.append(name)

    assert [] == idle
    assert {action.name for action in ACTIONS} == set(scene.forms())


def restore(client: redis.Redis, dumped: dict[bytes, bytes]) -> None:
    """Have a server hold this and nothing else."""
    client.flushall()
    with client.pipeline(transaction=False) as pipe:
        for key, value in dumped.items():
            pipe.restore(key, 0, value)
        pipe.execute()


def test_without_a_token_no_form_changes_anything(
    dashboard: Dashboard, bridge: Bridge, scene: Scene, redis_server: RedisServer
):
    """Not of nobody, not of who only reads, not from elsewhere, not of a session that is over or of another token."""
    client = redis_server.cli()
    asked = list(visitors(dashboard, bridge))
    before = content(client)

    answers = {
        (what, send(browser, "POST", f"/act/{name}", data=fields | extra | {"sure": "yes"}, headers=headers))
        for what, browser, extra, headers in asked
        for name, fields in scene.forms().items()
    }

    assert before == content(client)
    assert {200, 400, 401, 403} == {status for _, status in answers}


def test_no_method_and_no_body_changes_anything(
    dashboard: Dashboard, scene: Scene, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    """Whatever is sent to whatever it answers: by somebody who is signed in, but sends no form of a page."""
    client, dice = redis_server.cli(), random.Random(7)
    browsers = [Browser(dashboard), Browser(dashboard)]
    browsers[1].sign_in()
    paths = [path.replace("<name>", "dashboard.css") for _, path, _ in dashboard.rules]
    paths += [
        "/../etc/passwd",
        "//evil.example/",
        "/act/",
        "/act/nothing",
        "/static/..%2fapp.py",
        "/%00",
        "/é",
        "/" + "a" * 5_000,
    ]
    before = content(client)

    answers = set()
    for path in paths:
        for method in METHODS:
            for browser in browsers:
                query = {
                    dice.choice(("offset", "limit", "id", "name", "fragment", "q")): dice.choice(ODD) for _ in range(2)
                }
                body, kind = dice.choice(BODIES), dice.choice(KINDS)
                more = {"data": body, "content_type": kind, "query_string": query, "headers": OURS}
                answers.add(send(browser, method, path, **more))

    assert before == content(client)
    assert 500 not in answers, caplog.text
    assert {200, 405, 404, 415} <= answers
