"""Shadows in the route table: which messages have a copy, and what releases before them read."""

from __future__ import annotations

import json
import logging
from itertools import count
from typing import Any

import msgspec
import pytest

from taskbridge.config import BackendSettings, Settings
from taskbridge.errors import ConfigError, DecodeError
from taskbridge.message import Message
from taskbridge.routing import Rule, Table
from taskbridge.routing.rules import place_of_key
from taskbridge.routing.table import decode, encode
from taskbridge.testing import a_message

from .test_router import Stage, rule

_ids = count()


def a_shadow(task: str = "bank.pay", to: str = "dramatiq", share: float = 100, **words: Any) -> Rule:
    return Rule(**({"id": f"s{next(_ids)}", "task": task, "to": to, "share": share} | words))


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.bridge.task(name="bank.pay", shadow_safe=True)(pay)
    stage.bridge.task(name="bank.book")(pay)
    return stage


def pay(user_id: int) -> None: ...


def shadow(stage: Stage, *shadows: Rule, rules: tuple[Rule, ...] = ()) -> None:
    """Set shadows, and let a second pass."""
    stage.put(encode(Table(rules=rules, shadows=shadows)))
    stage.clock.advance(1.0)


def copied(stage: Stage, message: Message) -> str:
    """Where its copy goes; empty for nowhere."""
    carrier = stage.router.route(message)
    found = stage.router.shadow_of(message, carrier) if stage.router.has_shadows else None
    return found.to if found else ""


def user(n: int, **changes: Any) -> Message:
    return a_message(task="bank.pay", kwargs=msgspec.Raw(b'{"user_id":%d}' % n), **changes)


def test_a_table_without_shadows_is_as_it_was():
    """Byte for byte: a release before shadows reads it, also after the last shadow was removed."""
    table = Table(rules=(rule(),), named=3)

    again = table.with_shadow(a_shadow()).without_shadow("bank.pay")

    assert encode(table) == encode(again)
    assert "shadows" not in json.loads(encode(table))


def test_shadows_come_back():
    """Read equal; a release before them refuses the whole table, for ``shadows`` is a word that it does not know."""
    table = Table(rules=(rule(),), shadows=(a_shadow(),), named=3)

    assert table == decode(encode(table))
    assert ["rules", "named", "form", "shadows"] == list(json.loads(encode(table)))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"task": "bank.*"}, "a shadow is of one task, by its whole name; got task bank"),
        ({"task": "", "queue": "mail"}, "a shadow is of one task, by its whole name; got queue mail"),
        ({"tag": "payments"}, "a shadow is of one task, by its whole name; got task bank.pay, tag payments"),
    ],
)
def test_a_shadow_of_more_than_a_task_is_refused(words: dict[str, Any], why: str):
    """Where it is set and where it is read."""
    with pytest.raises(ConfigError, match=why):
        Table(shadows=(a_shadow(**words),))
    document = msgspec.json.encode({"shadows": [{"id": "s1", "to": "celery", "task": "a"} | words]})
    with pytest.raises(DecodeError, match="a shadow is of one task"):
        decode(document)


def test_a_task_has_one_shadow():
    """Setting it again changes it where it stands; a name is given to one alone, of rules too."""
    table = Table(rules=(rule(),), named=4)

    first = table.with_shadow(a_shadow(id=table.next_shadow_id(), share=5))
    second = first.with_shadow(msgspec.structs.replace(first.shadows[0], share=50))
    other = second.with_shadow(a_shadow("bank.book", id=second.next_shadow_id()))

    assert [("s5", 50), ("s6", 100)] == [(one.id, one.share) for one in other.shadows]
    assert "r7" == other.next_id()
    with pytest.raises(ConfigError, match="expected one shadow of a task"):
        Table(shadows=(a_shadow(), a_shadow()))
    with pytest.raises(ConfigError, match=r"'bank\.bok' has no shadow; did you mean 'bank\.book'"):
        other.without_shadow("bank.bok")


def test_a_shadow_routes_nothing(stage: Stage):
    """Messages go where they went; those of its task have a copy, those of others none."""
    shadow(stage, a_shadow())

    assert ("celery", "dramatiq") == (stage.to(), copied(stage, user(1)))
    assert ("celery", "") == (stage.to("bank.book"), copied(stage, a_message(task="bank.book")))


def test_a_share_is_sticky_and_taken_from_above(stage: Stage):
    """A key's messages have all a copy or none; raising it takes none away; what a route moves first is copied last."""
    sides = []
    for share in (0, 5, 50, 100):
        shadow(stage, a_shadow(share=share, key="{user_id}"))
        sides.append({n for n in range(2_000) if copied(stage, user(n))})

    assert [0, 2_000] == [len(sides[0]), len(sides[3])]
    assert sides[0] <= sides[1] <= sides[2] <= sides[3]
    assert abs(len(sides[1]) - 100) < 30 > abs(len(sides[2]) - 1_000) / 3
    assert {n for n in range(2_000) if place_of_key(str(n)) >= 95} == sides[1]


def test_what_goes_there_already_has_no_copy(stage: Stage):
    """By another name of the same place, too; a route and a shadow of halves with one key cover all between them."""
    half = {"share": 50, "key": "{user_id}"}
    shadow(stage, a_shadow(**half), rules=(rule("bank.pay", **half),))

    both = [(stage.router.route(user(n)), copied(stage, user(n))) for n in range(200)]

    assert {("celery", "dramatiq"), ("dramatiq", "")} == set(both)

    place = BackendSettings(engine="celery", broker_url="redis://one")
    other = Stage(Settings(backend="a", backends={"a": place, "b": place}), known=("a", "b"))
    other.bridge.task(name="bank.pay", shadow_safe=True)(pay)
    shadow(other, a_shadow(to="b"))
    assert "" == copied(other, user(1))


def test_what_has_been_handed_over_once_has_no_second_copy(stage: Stage):
    """A retry, and what comes back from a wait; nor has what a native producer sent."""
    shadow(stage, a_shadow())

    assert ["dramatiq", "", ""] == [
        copied(stage, user(1, **changes)) for changes in ({}, {"seq": 2}, {"engine": "celery"})
    ]


def test_what_is_not_known_to_be_safe_has_no_copy(stage: Stage, caplog: pytest.LogCaptureFixture):
    """A task that is declared without it, and one that is not known here; it is said once of each."""
    shadow(stage, a_shadow("bank.book"), a_shadow("elsewhere"))

    with caplog.at_level(logging.WARNING):
        found = [copied(stage, a_message(task=task)) for task in ("bank.book", "elsewhere") * 3]

    assert [""] * 6 == found
    assert ["bank.book", "elsewhere"] == [record.message.split()[0] for record in caplog.records]
    assert all("not known here to be shadow_safe" in record.message for record in caplog.records)


def test_a_relay_goes_by_what_workers_announce(stage: Stage):
    """Of a task that is declared here it goes by that."""
    relays = stage.router.knowing(lambda task: (), {"elsewhere": True, "bank.book": True}.__getitem__)
    stage.put(encode(Table(shadows=(a_shadow("elsewhere"), a_shadow("bank.book")))))

    found = []
    for task in ("elsewhere", "bank.book"):
        message = a_message(task=task)
        found.append(relays.shadow_of(message, relays.route(message)))

    assert ["elsewhere", None] == [one and one.task for one in found]


def test_a_shadow_to_where_nothing_can_be_sent_is_passed_over(caplog: pytest.LogCaptureFixture):
    """And logged; nothing is shadowed then."""
    stage = Stage(known=("celery",))
    stage.bridge.task(name="bank.pay", shadow_safe=True)(pay)
    shadow(stage, a_shadow())

    assert "" == copied(stage, user(1))
    assert "is passed over here: no backend is called 'dramatiq'" in caplog.text


def test_calls_are_stamped_by_a_shadows_key(stage: Stage):
    """Where no rule asks for one, too; those of other tasks are not."""
    shadow(stage, a_shadow(share=5, key="{user_id}"))
    definitions, sent = stage.bridge.definitions, (msgspec.Raw(b"[7]"), msgspec.Raw(b"{}"))

    assert {"{user_id}": "7"} == stage.router.keys_of(definitions["bank.pay"], "default", (), sent)
    assert None is stage.router.keys_of(definitions["bank.book"], "default", (), sent)
