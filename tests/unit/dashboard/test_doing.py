"""Actions: what each does and says, and that one which has just ended says so."""

from __future__ import annotations

import html
import logging
import re

import pytest

from taskbridge import Bridge
from taskbridge.dashboard.actions import ACTIONS
from taskbridge.needs import NeedsLock
from taskbridge.operations import limits, runs
from taskbridge.operations.audit import audit
from taskbridge.operations.migration import book_now
from taskbridge.store import Begin
from taskbridge.testing import a_message

from .conftest import Browser
from .scene import LIMIT, LOCK, SCHEDULE, TASK, WORKER, Scene, build
from .test_access import PATHS

#: The fields of a form that nobody sees.
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


@pytest.fixture
def scene(bridge: Bridge) -> Scene:
    return build(bridge)


def buttons(browser: Browser, path: str) -> set[str]:
    """The actions that a page offers."""
    return set(re.findall(r'action="/act/([\w.]+)"', browser.get(path).text))


def said(browser: Browser, name: str, /, **fields: str) -> str:
    """Do something; return what the next page says of it: how, and the sentence."""
    answer = browser.act(name, **fields)
    assert 303 == answer.status_code, answer.text
    page = browser.get(answer.headers["Location"]).text
    kind, _, rest = page.split('class="flash ')[1].partition('">')
    return f"{kind}: {html.unescape(rest.split('</p>')[0])}"


@pytest.mark.parametrize("action", [one for one in ACTIONS if one.asks], ids=lambda action: action.name)
def test_what_cannot_be_taken_back_is_asked_once_more(browser: Browser, scene: Scene, action):
    """On a page in between, with all that it is about; nothing is done yet."""
    browser.sign_in()
    fields = scene.forms()[action.name]
    form = {"form_token": browser.form_token(), "back": "/?limit=7"} | fields

    asked = browser.post(f"/act/{action.name}", form)

    assert 200 == asked.status_code
    assert f"<h1>{html.escape(action.asks.format_map(fields))}</h1>" in asked.text
    assert 'href="/?limit=7">No, go back' in asked.text
    assert 'name="sure" value="yes"' in asked.text


def test_dead_letters_are_replayed_and_purged(browser: Browser, bridge: Bridge, scene: Scene):
    """One, or all of a task; the second time says that there is none any more."""
    browser.sign_in()

    assert "done: dead-1 is ready again, its attempts back at one" == said(browser, "dead.replay", id=scene.dead)
    assert "refused: dead-1 is not dead" in said(browser, "dead.replay", id=scene.dead)
    assert "refused: dead-1 is not dead" in said(browser, "dead.purge", id=scene.dead)
    assert f"refused: no dead letter of {TASK} was found" == said(browser, "dead.replay_task", task=TASK)


@pytest.mark.parametrize(("how", "left"), [("replay", 0), ("purge", 0)])
def test_all_dead_letters_of_a_task(browser: Browser, bridge: Bridge, how: str, left: int):
    """And none of another one, nor bytes that are no message."""
    for n in range(450):
        bridge.store.dead.bury(f"bytes-{n}", "emails", b"\xff", "no message", None)
    scene = build(bridge)
    browser.sign_in()

    assert f"done: 1 dead letters of {TASK} are {how.removesuffix('e')}" in said(browser, f"dead.{how}_task", task=TASK)
    assert bridge.store.messages.look(scene.dead) is None or "DEAD" != bridge.store.messages.look(scene.dead).state
    assert 450 == len(bridge.store.dead.list(1_000, 0))


def test_limits_are_changed_in_place(browser: Browser, bridge: Bridge, scene: Scene):
    """Set, paused, let on, given back; what does not fit says what was expected."""
    browser.sign_in()

    assert "done: provider is 7/m now, whatever its task says" == said(browser, "limit.set", name=LIMIT, rate=" 7/m ")
    assert "refused: " in (refused := said(browser, "limit.set", name=LIMIT, rate="seven")), refused
    assert "seven" in refused
    assert "done: provider is paused: nobody starts at it" == said(browser, "limit.pause", name=LIMIT)
    assert "done: provider goes on" == said(browser, "limit.resume", name=LIMIT)
    assert "refused: the limit 'provider' is not paused" == said(browser, "limit.resume", name=LIMIT)
    assert "done: provider is what its task says" == said(browser, "limit.reset", name=LIMIT)
    assert [] == [one.name for one in limits.limits(bridge) if one.name == LIMIT]


def test_a_lock_that_was_let_go_meanwhile_says_so(browser: Browser, scene: Scene):
    """After the one in line had it, too."""
    browser.sign_in()

    assert f"done: The lock {LOCK} was taken from 1; the next in line has it" == said(browser, "lock.break", key=LOCK)
    said(browser, "lock.break", key=LOCK)
    assert f"refused: nobody holds a lock '{LOCK}'; see taskbridge locks list" == said(browser, "lock.break", key=LOCK)


def test_what_is_done_is_noted(browser: Browser, bridge: Bridge, scene: Scene):
    """In the audit log, by the name of who signed in, whatever it is; what was refused, once more."""
    browser.sign_in()
    for name, fields in (
        ("limit.pause", {"name": LIMIT}),
        ("lock.break", {"key": "nobody's"}),
        ("run.pause", {"id": scene.run}),
        ("schedule.pause", {"name": SCHEDULE}),
        ("dead.purge_task", {"task": TASK}),
    ):
        said(browser, name, **fields)

    entries = [one for one in reversed(audit(bridge.store)) if one.who.startswith("dashboard")]

    verbs = ["limits pause", "locks break", "locks break", "runs pause", "schedules pause", "dead purge"]
    assert verbs == [one.verb for one in entries]


def test_a_name_comes_back_as_it_is(browser: Browser, bridge: Bridge):
    """What is shown of it steers nothing and has no password; what the form in between sends is the name itself."""
    key = "lock\x1b[2J<b>\"'&amp; redis://:hush@host/0"
    asked = Begin(message=a_message(), body=b"x", claim="c1", max_crashes=5, locks=(NeedsLock(key),))
    bridge.store.claims.begin(asked)
    browser.sign_in()

    page = browser.post("/act/lock.break", {"form_token": browser.form_token(), "key": key}).text
    fields = {name: html.unescape(value) for name, value in HIDDEN.findall(page.split("<main")[1])}
    browser.post("/act/lock.break", fields)

    assert key == fields["key"]
    assert "hush" not in page.replace(html.escape(key).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"), "")
    assert "lock\\x1b[2J&lt;b&gt;" in page
    assert [] == bridge.store.waiting.locks()


def test_a_run_that_has_just_ended_says_so(browser: Browser, bridge: Bridge, scene: Scene):
    """Paused, let on, cancelled; then there is nothing to steer."""
    browser.sign_in()

    assert "is paused: before chunk 1" in said(browser, "run.pause", id=scene.run)
    assert "goes on: chunk 1" in said(browser, "run.resume", id=scene.run)
    assert "is cancelled" in said(browser, "run.cancel", id=scene.run)
    for name in ("run.pause", "run.resume", "run.cancel"):
        assert f"refused: the run {scene.run} has ended (cancelled" in said(browser, name, id=scene.run)
    assert runs.look(bridge.store, scene.run).state.ended_ms


def test_schedules_are_steered(browser: Browser, bridge: Bridge, scene: Scene):
    """Paused, let on, and run at once."""
    browser.sign_in()

    assert "is paused: it ticks no more" in said(browser, "schedule.pause", name=SCHEDULE)
    assert "goes on; it ticks next at 20" in said(browser, "schedule.resume", name=SCHEDULE)
    assert "refused: the schedule 'yearly' is not paused" == said(browser, "schedule.resume", name=SCHEDULE)
    assert f"done: {SCHEDULE} is enqueued as " in said(browser, "schedule.run", name=SCHEDULE)
    assert "refused: no schedule is called 'nope'" in said(browser, "schedule.run", name="nope")
    assert 1 == bridge.backend("celery").depth("emails")


def test_a_migration_is_moved_by_whoever_is_signed_in(browser: Browser, bridge: Bridge, scene: Scene):
    """Every step is kept under their name, with why; one that has ended says so."""
    browser.sign_in(who="ada")
    id = scene.migration

    assert "is waiting, at 20 %" in said(browser, "migration.share", id=id, percent="20", note="more")
    assert "ramping" in said(browser, "migration.ramp", id=id, steps="30, 60%", hold="5m")
    assert "paused" in said(browser, "migration.pause", id=id)
    assert "ramping" in said(browser, "migration.resume", id=id)
    assert "refused: percent: expected a number from 0 to 100, got '101'" == said(
        browser, "migration.share", id=id, percent="101"
    )
    assert "taken back, at 0 %" in said(browser, "migration.rollback", id=id)
    assert "given up" in said(browser, "migration.finish", id=id)
    assert "refused: " in said(browser, "migration.rollback", id=id)
    (migration,) = book_now(bridge.store)[1].migrations
    assert {"dashboard:ada"} == {step.who for step in migration.steps[2:]}
    assert "more" in [step.why for step in migration.steps]


def test_every_action_has_its_button_on_some_page(browser: Browser, scene: Scene):
    """Those of a migration in the states in which it has them: on its way, ramping, paused, taken back."""
    browser.sign_in()
    more = (f"/message?id={scene.delayed}", f"/run?id={scene.run}", f"/run?id={scene.paused_run}")

    offered = {name for path in (*PATHS, *more) for name in buttons(browser, path)}
    for step in ("ramp", "pause", "rollback"):
        assert f"migration.{step}" in offered
        said(browser, f"migration.{step}", id=scene.migration)
        offered |= buttons(browser, "/migration")

    assert {action.name for action in ACTIONS} == offered


def test_tasks_queues_and_keys_rest_and_messages_are_cancelled(browser: Browser, bridge: Bridge, scene: Scene):
    """Each says what it came to; the second time, that there is nothing to do."""
    browser.sign_in(who="ada")
    queue = {"kind": "queue", "name": "emails"}

    assert "done: The queue emails is paused: nothing of it begins" in said(
        browser, "control.pause", **queue, why="down"
    )
    assert "by dashboard:ada: down" in said(browser, "control.pause", **queue)
    assert "done: The queue emails is resumed: 0 that waited" in said(browser, "control.resume", **queue)
    assert "refused: the queue emails is not paused" in said(browser, "control.resume", **queue)
    assert "refused: kind: expected one of task, queue, key, got 'x'" == said(
        browser, "control.pause", kind="x", name="emails"
    )
    assert "refused: no task is called 'nope'" in said(browser, "control.pause", kind="task", name="nope")
    assert f"done: The message {scene.delayed} is cancelled: " in said(browser, "message.cancel", id=scene.delayed)
    assert f"refused: {scene.delayed} " in said(browser, "message.cancel", id=scene.delayed)


def test_workers_are_scaled_and_ended(browser: Browser, scene: Scene):
    """What does not fit says what was expected; one that has just ended is said to be none."""
    browser.sign_in()

    assert "done: The group default is to have 4 processes in host.1" == said(
        browser, "workers.scale", group="default", processes="4"
    )
    assert "is to have as many processes as it was started with in host.1" in said(
        browser, "workers.reset", group="default"
    )
    assert "refused: processes: expected a whole number from 0 to 1000, got '-1'" == said(
        browser, "workers.scale", group="default", processes="-1"
    )
    assert f"done: {WORKER} drains, and ends then" == said(browser, "workers.shutdown", worker=WORKER)
    assert "refused: no live worker is called 'host.2'" in said(browser, "workers.shutdown", worker="host.2")


@pytest.mark.parametrize("letter", ["\U0001f512", "\x1b", "\\", '"', "é"])
def test_a_long_sentence_is_cut_and_not_lost(browser: Browser, letter: str):
    """Whatever its letters take in a cookie."""
    browser.sign_in()

    told = said(browser, "dead.replay", id=letter * 1_900)

    assert told.startswith("refused: ")
    assert told.endswith(" ...")


def test_a_field_that_is_missing_is_named(browser: Browser):
    """And nothing is done."""
    browser.sign_in()

    assert "refused: name: expected a value, and there is none" == said(browser, "limit.pause")


def test_who_has_done_what_is_in_the_log(browser: Browser, scene: Scene, caplog: pytest.LogCaptureFixture):
    """With the name that was given."""
    browser.sign_in(who="ada")
    with caplog.at_level(logging.INFO, "taskbridge.dashboard"):
        browser.act("limit.pause", name=LIMIT)

    assert "dashboard:ada has done limit.pause: provider is paused: nobody starts at it" in caplog.text


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("migration.ramp", {"steps": "nan,100"}), ("migration.ramp", {"steps": "inf"}),
        ("migration.ramp", {"steps": ""}), ("migration.ramp", {"hold": "inf"}),
        ("migration.ramp", {"hold": "1e400s"}), ("migration.ramp", {"hold": "-1s"}),
        ("migration.ramp", {"steps": "1,2,1"}), ("migration.share", {"percent": "nan"}),
        ("limit.set", {"name": LIMIT, "rate": "1e999/s"}), ("limit.set", {"name": LIMIT, "rate": "nan/s"}),
        ("limit.set", {"name": LIMIT, "rate": "5/0s"}), ("limit.set", {"name": "", "rate": "5/s"}),
        ("limit.pause", {"name": ""}), ("control.pause", {"kind": "queue", "name": ""}),
        ("control.pause", {"kind": "task", "name": ""}), ("control.pause", {"kind": "key", "name": ""}),
        ("workers.scale", {"group": "", "processes": "1"}), ("dead.replay", {"id": ""}), ("message.cancel", {"id": ""}),
        ("dead.purge_task", {"task": ""}), ("dead.replay_task", {"task": ""}), ("workers.shutdown", {"worker": ""}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(browser: Browser, scene: Scene, action: str, fields: dict[str, str]):
    """In words."""
    browser.sign_in()

    told = said(browser, action, **({"id": scene.migration} if action.startswith("migration") else {}), **fields)

    assert told.startswith("refused: "), told
