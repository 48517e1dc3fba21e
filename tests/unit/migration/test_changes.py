"""The book says what is meant before the routes are changed: whoever dies in between leaves nothing half done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.migration.book import Migration, Step
from taskbridge.migration.changes import book_now, by_hand, change, differs, hold, move
from taskbridge.routes import changes as routes
from taskbridge.routes.changes import table_now
from taskbridge.routing import Rule, Table
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore

from .conftest import a_migration


def shared(percent: float) -> Any:
    return lambda migration: migration.after(Step(at_ms=2, who="ann", what="shared", share=percent))


def begun(store: Store, **words: Any) -> Migration:
    """A migration that holds in the routes."""
    change(store, lambda book: book.begun(lambda id: a_migration(id=id, **words)), who="ann")
    return hold(store, book_now(store)[1].migrations[-1], who="ann")


def shares(store: Store) -> dict[str, float]:
    """Of the rules, but for those that leave the rest to the old side."""
    rules = table_now(store)[1].rules
    assert all(rule.to == "celery" and rule.share == 100 for rule in rules if rule.id.endswith(".rest"))
    return {rule.id: rule.share for rule in rules if not rule.id.endswith(".rest")}


class NoRoutes:
    """Routes that cannot be written."""

    def __init__(self, store: Store) -> None:
        self._routes = store.routes

    def read(self, known: int = -1) -> Any:
        return self._routes.read(known)

    def write(self, version: int, document: bytes, **words: str) -> int:
        raise StoreUnavailable("away")


def test_step_holds_in_the_routes(store: MemoryStore):
    """All its rules have its share; the book says so."""
    begun(store, tasks=("bank.pay", "mail.*"), key="{user_id}")

    moved = move(store, "", shared(5.0), who="ann", note="first users")

    assert {"m1.1": 5.0, "m1.2": 5.0} == shares(store)
    assert (5.0, True) == (moved.share, moved.held)
    assert moved == book_now(store)[1].one()
    version, _ = table_now(store)
    assert ("ann", "first users") == (version.who, version.note)


def test_other_rules_stay(store: MemoryStore):
    """Those of a migration stand behind them, and where they were."""
    routes.change(store, lambda table: table.with_rule(Rule(id="r1", to="celery", task="bank.pin")), who="bob")
    begun(store)
    routes.change(store, lambda table: table.with_rule(Rule(id="r2", to="celery", task="mail.*")), who="bob")

    move(store, "m1", shared(5.0), who="ann")

    assert ["r1", "m1.1", "m1.1.rest", "r2"] == [rule.id for rule in table_now(store)[1].rules]


def test_rules_that_were_torn_apart_stand_together_again(store: MemoryStore):
    """The rest comes last, or the share would take nothing; what stands around them stays."""
    begun(store)
    for id in ("r1", "r2"):
        routes.change(store, lambda table, id=id: table.with_rule(Rule(id=id, to="celery", task="mail.*")), who="bob")
    routes.change(store, lambda table: table.with_rule(table.rule("m1.1"), before="r2"), who="bob")
    assert ["m1.1.rest", "r1", "m1.1", "r2"] == [rule.id for rule in table_now(store)[1].rules]

    move(store, "m1", shared(5.0), who="ann")

    assert ["m1.1", "m1.1.rest", "r1", "r2"] == [rule.id for rule in table_now(store)[1].rules]
    assert 5.0 == shares(store)["m1.1"]


def test_rule_that_somebody_put_between_stays(store: MemoryStore):
    """What he means holds, as long as the rules of the migration stand in their order."""
    begun(store)
    routes.change(
        store, lambda table: table.with_rule(Rule(id="r1", to="celery", task="bank.x"), before="m1.1.rest"), who="bob"
    )

    move(store, "m1", shared(5.0), who="ann")

    assert ["m1.1", "r1", "m1.1.rest"] == [rule.id for rule in table_now(store)[1].rules]


def test_rules_in_another_order_stop_it_with_its_share(store: MemoryStore):
    """Where each pair in its own order still leads where it led."""
    begun(store, tasks=("bank.*", "mail.*"))
    move(store, "", shared(5.0), who="ann")
    routes.change(store, lambda table: table.with_rules([*table.rules[2:], *table.rules[:2]]), who="bob")
    migration, (_, table) = book_now(store)[1].one(), table_now(store)
    why = differs(table, migration)
    assert "its rules were put in another order: m1.2, m1.2.rest, m1.1, m1.1.rest" == why

    by_hand(store, migration, why, who="the relay")

    stopped = book_now(store)[1].one()
    assert (5.0, "paused") == (stopped.share, stopped.state)


def test_lowest_share_that_somebody_set_is_taken_over(store: MemoryStore):
    """Of several rules the migration says no more than what surely moves."""
    begun(store, tasks=("bank.*", "mail.*"))
    move(store, "", shared(5.0), who="ann")
    for id, percent in (("m1.1", 2.0), ("m1.2", 50.0)):
        routes.change(
            store, lambda table, id=id, percent=percent: table.with_rule(replaced(table, id, percent)), who="bob"
        )
    migration, (_, table) = book_now(store)[1].one(), table_now(store)

    by_hand(store, migration, differs(table, migration), who="the relay")

    assert 2.0 == book_now(store)[1].one().share


@pytest.mark.parametrize("what", ["resumed", "paused", "ramp"])
def test_step_that_leaves_the_share_sets_the_rules_anew(store: MemoryStore, what: str):
    """After they were changed by hand: else the next look would find the same change, and stop it again."""
    begun(store)
    move(store, "", shared(5.0), who="ann")
    routes.change(store, lambda table: table.without(["m1.1.rest"]), who="bob")
    migration, (_, table) = book_now(store)[1].one(), table_now(store)
    assert by_hand(store, migration, differs(table, migration), who="the relay")
    assert not by_hand(store, migration, differs(table, migration), who="the relay"), "it has gone on since"

    move(store, "", lambda one: one.after(Step(at_ms=9, who="ann", what=what, share=one.share)), who="ann")

    assert ["m1.1", "m1.1.rest"] == [rule.id for rule in table_now(store)[1].rules]
    assert "" == differs(table_now(store)[1], book_now(store)[1].one())


def replaced(table: Table, id: str, percent: float) -> Rule:
    return msgspec.structs.replace(table.rule(id), share=percent)


def test_what_could_not_be_set_is_meant(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    """The book has the new share, and that the routes do not have it yet."""
    begun(store)
    with monkeypatch.context() as away:
        away.setattr(store, "routes", NoRoutes(store))
        with pytest.raises(StoreUnavailable, match="whether the routes were changed is not known"):
            move(store, "", shared(5.0), who="ann")

    meant = book_now(store)[1].one()
    assert (5.0, False, {"m1.1": 0.0}) == (meant.share, meant.held, shares(store))
    assert hold(store, meant, who="the relay").held
    assert {"m1.1": 5.0} == shares(store)


def test_older_word_does_not_raise_what_was_taken_back(store: MemoryStore):
    """Somebody who is late to set 50 % finds that 0 % is meant since: his share is nowhere."""
    begun(store)
    late = shared(50.0)(book_now(store)[1].one())
    change(store, lambda book: book.moved(late), who="ann")
    move(store, "", shared(0.0), who="bob")

    hold(store, late, who="ann")

    meant = book_now(store)[1].one()
    assert (0.0, True, {"m1.1": 0.0}) == (meant.share, meant.held, shares(store))
    assert "" == differs(table_now(store)[1], meant)


def test_step_taken_while_an_older_one_is_set_wins(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    """Ann has looked into the book, and before she writes the routes it is taken back."""
    begun(store)
    write, backs = store.routes.write, [shared(0.0)]

    def taken_back_first(version: int, document: bytes, **words: str) -> int:
        if backs:
            move(store, "", backs.pop(), who="bob")
        return write(version, document, **words)

    monkeypatch.setattr(store.routes, "write", taken_back_first)

    move(store, "", shared(50.0), who="ann")

    meant = book_now(store)[1].one()
    assert [] == backs
    assert (0.0, True, {"m1.1": 0.0}) == (meant.share, meant.held, shares(store))


def test_what_is_given_up_leaves_no_rule(store: MemoryStore):
    """One that is finished leaves them, at 100 %."""
    begun(store)
    begun(store, tasks=("mail.*",))
    for id, state, share in (("m1", "given up", 0.0), ("m2", "finished", 100.0)):
        step = Step(at_ms=3, who="ann", what=state, share=share)
        move(
            store, id, lambda migration, step=step, state=state: migration.after(step, state=state, held=False), who=""
        )

    assert [("m2.1", 100.0)] == [(rule.id, rule.share) for rule in table_now(store)[1].rules]


def test_what_is_refused_changes_nothing(store: MemoryStore):
    """Neither the book nor the routes."""
    begun(store)
    before = store.migrations.read(), store.routes.read()

    def refused(migration: Migration) -> Migration:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        move(store, "", refused, who="ann")
    with pytest.raises(ConfigError, match="no migration is called"):
        move(store, "m7", shared(5.0), who="ann")

    assert before == (store.migrations.read(), store.routes.read())


@pytest.mark.parametrize(
    ("edit", "share", "state"),
    [
        (lambda table: table.without(["m1.1"]), 0.0, "taken back"),
        (lambda table: table.with_rule(msgspec.structs.replace(table.rule("m1.1"), share=3.0)), 3.0, "paused"),
        (lambda table: Table(named=table.named), 0.0, "taken back"),
        (lambda table: table.without(["m1.1.rest"]), 5.0, "paused"),
        (lambda table: table.with_rule(msgspec.structs.replace(table.rule("m1.1"), to="celery")), 0.0, "taken back"),
        (lambda table: table.with_rules(table.rules[::-1]), 0.0, "taken back"),
    ],
)
def test_rule_changed_by_hand_holds(store: MemoryStore, edit: Any, share: float, state: str):
    """The migration stops, with its share; the next step sets its rules again."""
    begun(store)
    move(store, "", shared(5.0), who="ann")
    routes.change(store, edit, who="bob")
    migration, (_, table) = book_now(store)[1].one(), table_now(store)

    by_hand(store, migration, differs(table, migration), who="the relay")

    stopped = book_now(store)[1].one()
    assert (share, state, True) == (stopped.share, stopped.state, stopped.held)
    assert ("stopped", "the relay") == (stopped.steps[-1].what, stopped.steps[-1].who)
    move(store, "", shared(7.0), who="ann")
    assert {"m1.1": 7.0} == shares(store)
    assert ["m1.1", "m1.1.rest"] == [rule.id for rule in table_now(store)[1].rules]
