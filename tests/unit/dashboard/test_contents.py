"""What each page shows of a store that has something of everything."""

from __future__ import annotations

import html
import re
from dataclasses import fields

import msgspec
import pytest

from taskbridge import Bridge
from taskbridge.dashboard.pages.migration import figures
from taskbridge.evidence.buckets import bucket_of
from taskbridge.evidence.judge import Bounds, judge
from taskbridge.evidence.sample import Counts, Sample
from taskbridge.message import Message
from taskbridge.needs import NeedsLock, NeedsTokens, Within
from taskbridge.operations import control, migration
from taskbridge.operations.gauges import Stored
from taskbridge.operations.moments import Numbers, Side
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import begin, finish
from tests.servers import RedisServer

from .conftest import Browser
from .scene import LIMIT, LOCK, RESTING, SCHEDULE, TASK, WORKER, Scene, build

HOUR_US = 3_600_000_000

#: HTML, a terminal's escapes, and what ends an attribute.
HOSTILE = "<script>alert(1)</script>\x1b[2J\"'><b>"

#: How it must never come out.
HARM = ("<script>alert", "\x1b", "'><b>")


@pytest.fixture
def scene(bridge: Bridge) -> Scene:
    return build(bridge)


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("/", ["Engines side by side", "emails", "Migration m1", LOCK]),
        ("/queues", ["emails", "Delayed"]),
        ("/queues?part=email", ["emails"]),
        ("/queue?name=emails", ["Queue <", TASK, WORKER]),
        ("/tasks", [TASK, "nothing was counted"]),
        (f"/task?name={TASK}", [TASK, "user_id", "Nothing was counted"]),
        ("/messages?shelf=running", [TASK, "h.1:celery:2"]),
        ("/messages?shelf=delayed&queue=emails", [TASK, "in 1 h 59 min"]),
        ("/messages?shelf=ready", ["tests.walk", "the relay publishes them"]),
        ("/messages?shelf=parked", ["Nothing is parked"]),
        ("/message?id=dead-1", [TASK, "OSError: away", "Traceback"]),
        ("/dead", ["dead-1", TASK, "OSError: away"]),
        (f"/dead?task={TASK}&why=AWAY", ["dead-1"]),
        ("/dead?why=other", ["None of the 1 newest"]),
        ("/locks", [LOCK]),
        (f"/lock?key={LOCK}", ["Held by", TASK]),
        ("/lock?key=free", ["Nobody holds it"]),
        ("/limits", [LIMIT, "10/s", "paused"]),
        ("/limit?key=provider:1", ["Nobody waits at it"]),
        ("/runs", ["tests.walk", "paused", "of 100"]),
        ("/batches", ["No batch is known"]),
        ("/chains", ["No chain is on its way"]),
        ("/schedules", [SCHEDULE, RESTING, "paused", "0 0 1 1 *"]),
        ("/workers", [WORKER, "celery, dramatiq", "asked for 3"]),
        ("/routes", ["m1.1", "dramatiq", "History"]),
        ("/migration", ["m1", "5 %", "celery", "not yet known", "attempts that ended"]),
        ("/migration?id=m1", ["m1"]),
        ("/paused", ["letters", "queue"]),
        ("/audit", ["Audit log"]),
    ],
)
def test_page_shows_what_there_is(browser: Browser, scene: Scene, path: str, texts: list[str]) -> None:
    """By name and number; what there is nothing of is said in words."""
    shown = browser.get(path)

    assert 200 == shown.status_code, shown.text
    assert [] == [text for text in texts if text not in shown.text], shown.text


def test_run_is_shown_with_its_progress(browser: Browser, scene: Scene) -> None:
    """And what it waits for."""
    shown = browser.get(f"/run?id={scene.paused_run}").text

    assert [] == [text for text in ("paused", "tests.walk", "10 of 100", 'class="bar"') if text not in shown], shown


@pytest.mark.parametrize(
    "path",
    [
        *("/queues?offset=900", "/tasks?offset=900", "/workers?offset=900", "/runs?offset=900", "/batches?offset=900"),
        *("/messages?shelf=delayed&offset=900", "/dead?offset=900", "/locks?offset=900", "/limits?offset=900"),
        *(f"/lock?key={LOCK}&offset=900", "/schedules?offset=900", "/chains?offset=900", "/audit?offset=900"),
        "/paused?offset=900",
    ],
)
def test_past_the_end_is_said(browser: Browser, scene: Scene, path: str) -> None:
    """With the way back; a list that is not there is no error."""
    shown = browser.get(path)

    assert 200 == shown.status_code
    assert "The list ends before row 901" in shown.text


@pytest.mark.parametrize("path", ["/queues", "/queue?name=emails"])
def test_every_state_of_a_queue_is_shown(browser: Browser, bridge: Bridge, path: str) -> None:
    """What an operator has paused, too: it waits for nothing else, and would be missed."""
    message = a_message(id="m1", task=TASK, queue="emails")
    control.pause(bridge, "queue", "emails", anyway=True)
    assert "paused" == begin(bridge.store, message, "c").verdict

    shown = browser.get(path).text

    states = [field.name.capitalize() for field in fields(Stored) if field.name != "queue"]
    assert [] == [state for state in states if f">{state}<" not in shown], shown
    assert ">1<" in shown, shown


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/message?id=nobody", 404, "the store knows nothing of it"),
        ("/run?id=nobody", 404, "no run is called"),
        ("/task?name=bank.pey", 400, "did you mean"),
        ("/queue?name=emials", 400, "did you mean"),
        ("/migration?id=m9", 400, "no migration is called"),
        ("/message", 200, "Give the id"),
        ("/queue", 400, "name: expected a value"),
        ("/messages?shelf=attic", 400, "expected one of ready"),
        ("/?span=1y", 400, "expected one of 15min"),
        ("/dead?offset=-1", 400, "expected a whole number"),
        ("/dead?offset=--1", 400, "expected a whole number"),
        ("/dead?limit=-", 400, "expected a whole number"),
    ],
)
def test_what_is_not_there_is_said(browser: Browser, scene: Scene, path: str, code: int, text: str) -> None:
    """With what was expected, or what may have been meant."""
    shown = browser.get(path)

    assert (code, True) == (shown.status_code, text in shown.text), shown.text


def hostile(bridge: Bridge) -> list[str]:
    """Have a message with a hostile name, arguments, reason, lock and limit everywhere it can be; returns the paths."""
    store = bridge.store
    made: dict[str, Message] = {
        name: a_message(
            id=f"{name}{HOSTILE}",
            task=f"t{HOSTILE}",
            queue="emails",
            kwargs=msgspec.Raw(msgspec.json.encode({f"a{HOSTILE}": HOSTILE, "password": "hunter2"})),
        )
        for name in ("delayed", "dead", "runs", "waits", "slow", "parked")
    }
    store.outbox.put([made["delayed"]], 60_000)
    begin(store, made["dead"], f"c{HOSTILE}")
    finish(store, made["dead"], f"c{HOSTILE}", "DEAD", why=HOSTILE, traceback=HOSTILE)
    begin(store, made["parked"], "p")
    finish(store, made["parked"], "p", "PARKED", due_ms=60_000, group=HOSTILE)
    for name in ("runs", "waits"):
        begin(store, made[name], name, locks=(NeedsLock(f"k{HOSTILE}"),))
    tokens = NeedsTokens(f"l{HOSTILE}", f"l{HOSTILE}:1", HOUR_US, 1)
    begin(store, a_message(), "first", rates=(tokens,))
    begin(store, made["slow"], "second", rates=(tokens,))
    store.waiting.set_limit(f"l{HOSTILE}", interval_us=1)
    quoted = {name: msgspec.json.encode(message.id) for name, message in made.items()}
    assert len(quoted) == len(made)
    return [
        "/",
        "/queues",
        *(f"/messages?shelf={shelf}" for shelf in ("delayed", "running", "parked")),
        "/dead",
        "/locks",
        "/limits",
    ]


def test_what_messages_say_is_shown_as_text(browser: Browser, bridge: Bridge) -> None:
    """HTML is escaped, a terminal's escapes are written out; nothing of it comes out as it is."""
    for path in hostile(bridge):
        shown = browser.get(path)

        assert 200 == shown.status_code, shown.text
        assert [] == [harm for harm in HARM if harm in shown.text], path
        assert "&lt;script&gt;" in shown.text or path in ("/", "/queues"), path


@pytest.mark.parametrize("name", ["delayed", "dead", "runs", "waits", "slow", "parked"])
def test_story_of_a_hostile_message_is_text(browser: Browser, bridge: Bridge, name: str) -> None:
    """Its name, task, reason, traceback and arguments; what is secret by its name is not shown at all."""
    hostile(bridge)

    shown = browser.client.get("/message", query_string={"id": f"{name}{HOSTILE}"}, base_url="http://localhost")

    assert 200 == shown.status_code, shown.text
    assert [] == [harm for harm in (*HARM, "hunter2") if harm in shown.text]
    assert "[Filtered]" in shown.text


@pytest.mark.parametrize(
    ("path", "field", "value"), [("/lock", "key", f"k{HOSTILE}"), ("/limit", "key", f"l{HOSTILE}:1")]
)
def test_waiters_at_a_hostile_key_are_text(browser: Browser, bridge: Bridge, path: str, field: str, value: str) -> None:
    """And found by it."""
    hostile(bridge)

    shown = browser.client.get(path, query_string={field: value}, base_url="http://localhost")

    assert 200 == shown.status_code, shown.text
    assert [] == [harm for harm in HARM if harm in shown.text]
    assert "&lt;script&gt;" in shown.text


def test_filter_goes_on_where_the_last_page_ended(browser: Browser, bridge: Bridge) -> None:
    """The link to further rows leads there, with the filter: no row is shown twice, and none is left out."""
    for n in range(8):
        bridge.store.outbox.put([a_message(id=f"m{n}", queue="mail", task=f"t&{n % 2}")], 60_000 + n)

    first = browser.get("/messages?shelf=delayed&task=t%261&limit=2").text
    onward = re.search(r'href="([^"]+)" rel="next"', first)
    assert onward
    second = browser.get(html.unescape(onward[1])).text

    assert [["m1", "m3"], ["m5", "m7"]] == [re.findall(r'title="(m\d)"', page) for page in (first, second)]


def test_batch_is_shown_with_how_far_it_is(browser: Browser, bridge: Bridge) -> None:
    """Members that ended of all."""
    store = bridge.store
    store.batches.open("b1", when="all_done", then=None, error=None)
    members = [a_message() for _ in range(4)]
    store.outbox.put(members, 0, Within(batches=("b1",)))
    begin(store, members[0], "c1")
    finish(store, members[0], "c1")

    shown = browser.get("/batches").text

    assert [] == [text for text in ("b1", "filling", "1 of 4") if text not in shown], shown


def test_task_has_both_engines_side_by_side(browser: Browser, bridge: Bridge, scene: Scene) -> None:
    """With what each did of late: attempts, failures, run time; in the list, and over time on its own page."""
    store = bridge.store
    now_ms = store.now_ms()
    store.evidence.watch({TASK: now_ms + 60_000})
    at_ms = now_ms // SLICE_MS * SLICE_MS
    told = [
        Slice(
            task=TASK,
            backend=backend,
            at_ms=at_ms - n * SLICE_MS,
            succeeded=9,
            failed=failed,
            ran={40: 10},
            waited={20: 10},
        )
        for backend, failed in (("celery", 1), ("dramatiq", 0))
        for n in range(1, 12)
    ]
    store.evidence.add(told, teller="me", turn=1)

    listed, one = browser.get("/tasks").text, browser.get(f"/task?name={TASK}").text

    assert [] == [text for text in ("celery", "dramatiq", "110", "99", "10 ms") if text not in listed], listed
    assert [] == [text for text in ("110", "99", "10 ms", "<polyline", "of-1", "of-2") if text not in one], one


@pytest.mark.parametrize(
    ("path", "said"), [("", True), ("?limit=2", False), ("?limit=2&offset=1", True), ("?offset=1", True)]
)
def test_a_list_that_is_cut_says_so(
    browser: Browser, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, path: str, said: bool
) -> None:
    """At its end, and not that it has ended."""
    monkeypatch.setattr("taskbridge.dashboard.pages.flows.LOOKED_AT", 3)
    for n in range(5):
        bridge.store.batches.open(f"b{n}", when="all_done", then=None, error=None)

    assert said is ("The newest 3 are listed here, and no more" in browser.get(f"/batches{path}").text)


def test_what_a_task_does_now_is_of_a_time_that_is_over(
    browser: Browser, bridge: Bridge, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of half a minute that has begun a part has ended, and half as much is no news."""
    now_ms = bridge.store.now_ms()
    monkeypatch.setattr(bridge.store, "now_ms", lambda: now_ms)  # else the next slice may begin before
    bridge.store.evidence.watch({TASK: now_ms + 60_000})
    at_ms = now_ms // SLICE_MS * SLICE_MS
    told = [
        Slice(task=TASK, backend="celery", at_ms=at_ms - n * SLICE_MS, succeeded=10 if n else 1, ran={40: 10})
        for n in range(13)
    ]
    bridge.store.evidence.add(told, teller="me", turn=1)

    shown = browser.get(f"/task?name={TASK}").text

    assert 'aria-label="Attempts that end, a second, now: celery 1; dramatiq unknown"' in shown, shown
    (points,) = re.findall(r'Attempts that end.*?points="([^"]*)"', shown)
    assert {"8.0"} == {point.split(",")[1] for point in points.split()}


@pytest.mark.parametrize(("minutes", "drawn"), [(0, True), (40, True), (120, False)])
def test_what_was_long_ago_is_not_shown_as_now(
    browser: Browser, bridge: Bridge, redis_server: RedisServer, minutes: int, drawn: bool
) -> None:
    """When no dashboard has run for a while: what was before stands where it belongs, as long as the picture has it."""
    numbers, now_ms = msgspec.json.encode(Numbers(sides={"celery": Side(waiting=7_777)})), bridge.store.now_ms()
    for n in (2, 1):
        redis_server.cli().rpush("{taskbridge}:history", now_ms - minutes * 60_000 - n * 10_000, numbers)

    shown = browser.get("/?span=1h").text

    assert (drawn, minutes == 0) == ("<polyline" in shown, "<b>7.78k</b>" in shown)


def test_overview_has_the_hours_before(browser: Browser, bridge: Bridge) -> None:
    """What another dashboard took is drawn, and since when there are numbers is told."""
    assert "No numbers of the past" in browser.get("/").text
    for per_s in (5.0, 7.0):
        numbers = Numbers(sides={"celery": Side(waiting=3, per_s=per_s), "gone": Side(waiting=1)})
        bridge.store.history.add(msgspec.json.encode(numbers), every_ms=0, kept=10)

    shown = browser.get("/").text

    assert [] == [text for text in ("Numbers were taken", "<polyline", "<b>7</b>", "gone") if text not in shown], shown


def test_buttons_are_there_for_who_may_act(browser: Browser, scene: Scene) -> None:
    """And for nobody else."""
    pages = (
        "/dead",
        "/locks",
        "/limits",
        "/runs",
        "/schedules",
        "/migration",
        f"/run?id={scene.run}",
        "/message?id=dead-1",
    )
    before = [path for path in pages if 'action="/act/' in browser.get(path).text]

    browser.sign_in()

    assert [] == before
    assert [] == [path for path in pages if 'action="/act/' not in browser.get(path).text]


def test_action_on_what_has_just_ended_is_refused_in_words(browser: Browser, bridge: Bridge, scene: Scene) -> None:
    """The page that follows says so, and is whole."""
    browser.sign_in()
    bridge.store.dead.purge(scene.dead)

    answer = browser.act("dead.replay", id=scene.dead, back="/dead")
    shown = browser.get("/dead")

    assert 303 == answer.status_code
    assert [] == [text for text in ("flash refused", "dead-1 is not dead") if text not in shown.text], shown.text


def test_what_is_secret_is_on_no_page(browser: Browser, bridge: Bridge) -> None:
    """Neither as an argument, given by its place or by its name, nor in the error that it has led to."""
    message = a_message(
        id="dead-1",
        task=TASK,
        queue="emails",
        args=msgspec.Raw(b'[7,"4111111111111111"]'),
        kwargs=msgspec.Raw(b'{"otp":"998877"}'),
    )
    said = "Refused: card 4111111111111111, one-time code 998877, api_key=k-12345"
    begin(bridge.store, message, "c")
    finish(bridge.store, message, "c", "DEAD", why=said, traceback=f"Traceback (most recent call last):\n{said}")

    shown = [browser.get(path).text for path in ("/message?id=dead-1", "/dead", f"/dead?task={TASK}")]

    assert [True, True, True] == ["Refused: card" in page for page in shown], shown
    assert [] == [secret for secret in ("4111", "998877", "k-12345") for page in shown if secret in page]


@pytest.mark.parametrize(("failed", "marked"), [(10, False), (60, True)])
def test_a_figure_is_marked_where_chance_does_not_explain_it(failed: int, marked: bool):
    """Of five hundred seven failed on one side, ten on the other: more than it may, and nothing speaks against it."""
    spans = {bucket_of(20): 500}
    old, new = (Sample((Counts(succeeded=500 - n, failed=n, ran=spans, waited=spans),)) for n in (7, failed))

    verdict = judge(old, new, Bounds())

    (found,) = (one for one in figures(verdict) if one["name"] == "failed")
    assert marked == found["beyond"]
    assert marked == (verdict.word != "better_or_equal")


def test_a_side_that_has_done_nothing_has_no_figures(browser: Browser, bridge: Bridge):
    """No share of failures and no run time, and so nothing that the new side may have at most."""
    migration.start(bridge, origin="celery", target="dramatiq", tasks=["bank.*"], force=True)

    rows = re.findall(r'<tr id="e-(?:failed|run|time)[^>]*>(.*?)</tr>', browser.get("/migration").text)

    assert [["–"] * 3] * len(rows) == [re.findall(r'<td class="number[^>]*>([^<]*)</td>', row) for row in rows]  # noqa: RUF001
    assert rows
