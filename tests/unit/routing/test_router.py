"""The router: first match wins, late, a second after a change at most, and whatever becomes of the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

import msgspec
import pytest

from taskbridge import Bridge
from taskbridge.config import Settings, Share
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.message import Message
from taskbridge.routing import Router, Rule, Table
from taskbridge.routing.router import LONGEST_PAUSE_S, PAUSE_S, TTL_S
from taskbridge.routing.rules import place_of_key
from taskbridge.routing.table import encode
from taskbridge.store.memory import MemoryStore
from taskbridge.store.versions import Version
from taskbridge.testing import FakeClock, a_message


class Stage:
    """A router on a fake clock, and its table; the store counts how often it was asked and is away when told."""

    def __init__(
        self, settings: Settings | None = None, known: Sequence[str] = ("celery", "dramatiq", "memory")
    ) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.bridge = Bridge()
        self.asked = 0
        self.away = False
        self.takes_s = 0.0

        def usable(name: str) -> None:
            if name not in known:
                raise ConfigError(f"no backend is called {name!r}")

        self.router = Router(
            settings or Settings(backend="celery"), self.clock, self.read, usable, self.bridge.definitions
        )

    def read(self, known: int) -> Version | None:
        self.asked += 1
        found = self.store.routes.read(known)
        self.clock.advance(self.takes_s)
        if self.away:
            raise StoreUnavailable("away")
        return found

    def write(self, *rules: Rule) -> None:
        """Change the table; routers do not know yet."""
        self.put(encode(Table(rules=rules)))

    def put(self, document: bytes) -> None:
        history = self.store.routes.history(1)
        assert self.store.routes.write(history[0].version if history else 0, document, who="me", note="")

    def hold(self, *rules: Rule) -> None:
        """Change it, and let a second pass."""
        self.write(*rules)
        self.clock.advance(TTL_S)

    def to(self, task: str = "bank.pay", **changes: Any) -> str:
        return self.router.route(a_message(task=task, **changes))


def rule(task: str = "bank.*", to: str = "dramatiq", **words: Any) -> Rule:
    return Rule(**({"id": f"r{next(_ids)}", "task": task, "to": to} | words))


_ids = count()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def user(n: int, **changes: Any) -> Message:
    return a_message(task="bank.pay", kwargs=msgspec.Raw(b'{"user_id":%d}' % n), **changes)


#: A user who is moved by a share of half, and one who is not.
MOVED = next(n for n in range(100) if place_of_key(str(n)) < 50)
STAYING = next(n for n in range(100) if place_of_key(str(n)) >= 50)


def test_the_settings_hold_where_no_rule_takes_a_message():
    """The default, or a share of theirs."""
    stage = Stage(Settings(backend="celery", shares={"bank.share": Share(to={"memory": 100})}))
    assert ["celery", "memory"] == [stage.to(), stage.to("bank.share")]

    stage.hold(rule("bank.pay"))

    assert ["dramatiq", "memory", "celery"] == [stage.to(task) for task in ("bank.pay", "bank.share", "mail.send")]


def test_the_first_rule_that_takes_it_wins(stage: Stage):
    """One that matches and takes only a share leaves the rest to those behind it."""
    stage.hold(
        rule("bank.report", "memory"),
        rule("bank.*", "dramatiq", share=50, key="{user_id}"),
        rule("bank.pay", "memory"),
    )

    assert ["memory", "dramatiq", "memory", "celery"] == [
        stage.to("bank.report"),
        stage.router.route(user(MOVED)),
        stage.router.route(user(STAYING)),
        stage.router.route(user(STAYING).copy(task="bank.other")),
    ]


def test_rules_of_one_key_are_nested(stage: Stage):
    """The stretch of the first, then what is between it and that of the second; the rest by the settings."""
    stage.hold(
        rule("bank.*", "memory", share=20, key="{user_id}"),
        rule("bank.*", "dramatiq", share=50, key="{user_id}", queue="mail"),
    )

    for n in range(200):
        place = place_of_key(str(n))
        expected = "memory" if place < 20 else "dramatiq" if place < 50 else "celery"
        assert expected == stage.router.route(user(n))


def test_each_rule_goes_by_its_own_key(stage: Stage):
    """One that is sticky by another argument, or by the id, decides by that."""
    stage.hold(
        rule("bank.*", "memory", share=50, key="{account}"),
        rule("bank.*", "dramatiq", share=50, key="{user_id}"),
        rule("bank.*", "memory", share=50),
    )

    def to(account: int, user_id: int, id: str) -> str:
        kwargs = msgspec.Raw(b'{"account":%d,"user_id":%d}' % (account, user_id))
        return stage.to(kwargs=kwargs, id=id)

    assert ["memory", "dramatiq", "memory", "celery"] == [
        to(MOVED, STAYING, f"{STAYING}"),
        to(STAYING, MOVED, f"{STAYING}"),
        to(STAYING, STAYING, f"{MOVED}"),
        to(STAYING, STAYING, f"{STAYING}"),
    ]


def test_users_tasks_move_together(stage: Stage):
    """One key decides the same for every task, in each producer."""
    other = Stage()
    for one in (stage, other):
        one.hold(rule("*", share=30, key="{user_id}"))

    for n in range(100):
        routed = {
            one.router.route(user(n).copy(task=task)) for task in ("bank.pay", "mail.send") for one in (stage, other)
        }
        assert 1 == len(routed)


def test_queue_and_tag_are_of_the_message(stage: Stage):
    """Those that it carries."""
    stage.hold(rule("*", "memory", queue="ledger"), rule("*", tag="payments"))

    assert ["memory", "dramatiq", "celery"] == [
        stage.to(queue="ledger", tags=("payments",)),
        stage.to(tags=("nightly", "payments")),
        stage.to(tags=("nightly",)),
    ]


def test_share_without_key_is_sticky_by_id(stage: Stage):
    """A message that is retried goes where it went."""
    stage.hold(rule(share=50))
    messages = [a_message(task="bank.pay") for _ in range(200)]

    routed = [stage.router.route(message) for message in messages]

    assert routed == [stage.router.route(message.copy(seq=3, attempt=3)) for message in messages]
    assert {"celery", "dramatiq"} == set(routed)


def test_stamped_key_goes_before_all_else(stage: Stage):
    """It was made where the task is known; that of another template is none."""
    stage.hold(rule(share=50, key="{user_id}"))

    assert "dramatiq" == stage.router.route(user(STAYING, route_keys={"{user_id}": str(MOVED)}))
    assert "celery" == stage.router.route(user(STAYING, route_keys={"{account}": str(MOVED)}))


def test_key_is_made_of_the_arguments(stage: Stage):
    """By name where the task is not known, by position where it is announced, with defaults where it is declared."""
    stage.hold(rule("*", share=50, key="{user_id}"))
    by_position = a_message(task="bank.pay", args=msgspec.Raw(b"[%d]" % MOVED))
    ids = {stage.router.route(by_position.copy(id=f"{n}")) for n in range(50)}
    announced = stage.router.knowing({"bank.pay": ["user_id"]}.__getitem__)

    @stage.bridge.task(name="bank.audit")
    def audit(user_id: int = MOVED) -> None: ...

    assert {"celery", "dramatiq"} == ids
    assert {"dramatiq"} == {announced.route(by_position.copy(id=f"{n}")) for n in range(50)}
    assert {"dramatiq"} == {stage.router.route(a_message(task="bank.audit")) for _ in range(50)}


def test_change_holds_within_a_second(stage: Stage):
    """For every message that is sent a second after it or later; until then the last table does."""
    assert "celery" == stage.to()
    stage.clock.advance(TTL_S / 2)
    stage.write(rule())

    before = stage.to()
    stage.clock.advance(TTL_S / 2)

    assert ["celery", "dramatiq"] == [before, stage.to()]


def test_slow_read_is_as_old_as_its_question(stage: Stage):
    """What was written while it was on its way is seen a second after that."""
    stage.takes_s = 0.4
    stage.to()
    stage.takes_s = 0.0
    stage.write(rule())

    stage.clock.advance(TTL_S - 0.4)

    assert "dramatiq" == stage.to()


def test_no_message_pays_for_a_read_of_its_own(stage: Stage):
    """However many are sent, the store is asked once a second."""
    for _ in range(10):
        for _ in range(100):
            stage.to()
        stage.clock.advance(TTL_S)

    assert 10 == stage.asked


def test_store_that_is_away_changes_nothing(stage: Stage, caplog: pytest.LogCaptureFixture):
    """The last table holds, or the settings where none was seen; it is told of once, and when it is over."""
    stage.away = True
    caplog.set_level(logging.INFO, "taskbridge")
    assert "celery" == stage.to()
    stage.away = False
    stage.clock.advance(PAUSE_S)
    stage.hold(rule())
    assert "dramatiq" == stage.to()

    stage.away = True
    stage.write()
    for _ in range(100):
        stage.clock.advance(0.5)
        assert "dramatiq" == stage.to()
    stage.away = False
    stage.clock.advance(LONGEST_PAUSE_S)

    assert "celery" == stage.to()
    said = [record.message for record in caplog.records]
    assert [
        "the routes cannot be read, and stay as they were (version 0): away",
        "the routes can be read again; version 1 holds",
        "the routes cannot be read, and stay as they were (version 1): away",
        "the routes can be read again; version 2 holds",
    ] == said


def test_store_that_is_away_is_left_alone_for_a_while(stage: Stage):
    """Longer from time to time, up to some seconds: who sends one after the other does not wait for each."""
    stage.away, stage.takes_s = True, 0.5

    asked_at_s = []
    for _ in range(3000):
        before = stage.asked
        now_s = stage.clock.monotonic_s()
        stage.to()
        asked_at_s += [now_s] * (stage.asked - before)
        stage.clock.advance(0.01)

    gaps_s = [later - earlier for earlier, later in pairwise(asked_at_s)]
    assert pytest.approx([1.5, 2.5, 4.5, 5.5, 5.5], abs=0.1) == gaps_s[:5]


def test_store_that_comes_back_empty_is_believed(stage: Stage):
    """What it has is the truth, also when that is an older version."""
    stage.hold(rule())
    assert "dramatiq" == stage.to()
    stage.store = MemoryStore(stage.clock)

    stage.clock.advance(TTL_S)

    assert ("celery", 0) == (stage.to(), stage.router.version)


def test_table_of_a_newer_release_changes_nothing(stage: Stage, caplog: pytest.LogCaptureFixture):
    """The last that could be read holds; that is said once, not every second."""
    stage.hold(rule())
    stage.to()
    stage.put(b'{"rules":[],"word":1}')

    for _ in range(5):
        stage.clock.advance(TTL_S)
        assert "dramatiq" == stage.to()

    assert 1 == len(caplog.records)
    assert "version 2 of the routes does not hold here, 1 still does" in caplog.text
    stage.hold()
    assert "celery" == stage.to()


def test_rule_to_where_nothing_can_be_sent_is_passed_over(caplog: pytest.LogCaptureFixture):
    """This process's settings do not know the backend: the others hold, and that is said."""
    stage = Stage(known=["celery", "memory"])
    stage.hold(rule("bank.*", "dramatiq"), rule("*", "memory"))

    assert "memory" == stage.to()
    assert "is passed over here: no backend is called 'dramatiq'" in caplog.text


def test_what_is_bound_to_its_engine_stays_there(stage: Stage):
    """A native message that a chain or a callback follows: no other engine would know of that."""
    stage.hold(rule("bank.*", "dramatiq"), rule("bank.*", "celery"))
    native = a_message(task="bank.pay", engine="celery", native=msgspec.Raw(b'{"id":"abc"}'))

    assert "dramatiq" == stage.router.route(native)
    assert "celery" == stage.router.route(native.copy(bound=True))
    assert "dramatiq" == stage.router.route(native.copy(bound=True, engine="dramatiq"))


def test_share_of_nothing_takes_nothing(stage: Stage):
    """It stands for what comes."""
    stage.hold(rule(share=0, key="{user_id}"))

    assert {"celery"} == {stage.router.route(user(n)) for n in range(100)}


def test_keys_are_stamped_by_the_rules_that_may_take_a_call(stage: Stage):
    """One by each of their templates; none where no rule needs one."""

    @stage.bridge.task(name="bank.pay", tags=["payments"])
    def pay(user_id: int, account: str = "main") -> None: ...

    def keys(*args: Any, filled: bool = False) -> dict[str, str] | None:
        sent = pay.definition.arguments.encode(args, {}, first=msgspec.Raw(b'"?"') if filled else None)
        return stage.router.keys_of(pay.definition, "mail", ("payments",), sent, filled=filled)

    assert None is keys(7)
    stage.hold(rule("mail.*", share=5, key="{user_id}"), rule("bank.pay", share=5))
    assert None is keys(7)
    for share in (0, 100):  # what is delayed goes by what the share is then
        stage.hold(rule(share=share, key="{user_id}"))
        assert {"{user_id}": "7"} == keys(7)
    stage.hold(
        rule("bank.pay", share=5, key="{user_id}"),
        rule("bank.*", share=5, key="{account}", tag="payments"),
        rule("bank.*", share=5, key="{user_id}", queue="mail"),
    )
    assert {"{user_id}": "7", "{account}": '"main"'} == keys(7)
    assert {"{account}": '"main"'} == keys(filled=True)


def test_what_is_filled_in_later_makes_no_key(stage: Stage):
    """What stands in its place meanwhile is no value, though it would do."""

    @stage.bridge.task(name="bank.pay")
    def pay(user: str) -> None: ...

    stage.hold(rule(share=5, key="{user}"))
    sent = pay.definition.arguments.encode((), {}, first=msgspec.Raw(b'"?"'))

    assert None is stage.router.keys_of(pay.definition, "mail", (), sent, filled=True)
    assert {"{user}": '"?"'} == stage.router.keys_of(pay.definition, "mail", (), sent)


def test_task_without_the_argument_is_shared_by_ids(stage: Stage, caplog: pytest.LogCaptureFixture):
    """It is never refused; that is said once for each task."""

    @stage.bridge.task(name="bank.report")
    def report(day: str) -> None: ...

    stage.hold(rule(share=50, key="{user_id}"))
    sent = report.definition.arguments.encode(("x",), {})

    keys = [stage.router.keys_of(report.definition, "mail", (), sent) for _ in range(3)]

    assert [None] * 3 == keys
    assert [
        "bank.report has not all of {user_id}, which routes are sticky by: its message ids are in place of them"
    ] == [record.message for record in caplog.records]
    routed = {stage.to("bank.report", args=sent[0]) for _ in range(100)}
    assert {"celery", "dramatiq"} == routed


def test_threads_wait_for_one_read(stage: Stage):
    """Of many that send at once one asks, and all have its answer: none goes by what is older."""
    stage.to()
    stage.hold(rule())
    entered, go_on, plain = threading.Event(), threading.Event(), stage.read

    def slow(known: int) -> Version | None:
        entered.set()
        assert go_on.wait(20)
        return plain(known)

    stage.router._read = slow
    routed: list[str] = []
    threads = [threading.Thread(target=lambda: routed.append(stage.to())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    go_on.set()
    for thread in threads:
        thread.join()

    assert (["dramatiq"] * 8, 2) == (routed, stage.asked)


def test_sender_in_the_middle_of_a_read_does_not_wait_for_itself(stage: Stage):
    """A signal's handler that sends while its thread reads."""

    def interrupted(known: int) -> Version | None:
        stage.router._read = stage.read
        assert "celery" == stage.to()
        return stage.read(known)

    stage.router._read = interrupted

    assert "celery" == stage.to()


def test_kinds_of_messages_are_forgotten_in_time(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """However many queues there are, memory is bounded."""
    monkeypatch.setattr("taskbridge.routing.router.MOST_KINDS", 10)
    stage.hold(rule())

    for n in range(100):
        assert "dramatiq" == stage.to(queue=f"q{n}")

    assert len(stage.router._kinds) <= 10
