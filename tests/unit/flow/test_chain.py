"""Chains: what cannot be one is refused when it is made; what is one lies in the store before it begins."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from taskbridge import Bridge, Chain, Task, chain
from taskbridge.errors import ArgumentError, ClaimLost, ConfigError, PayloadTooLarge
from taskbridge.events import Event, Sent
from taskbridge.message import Message, decode, encode
from taskbridge.needs import Within
from taskbridge.scope import Scope, inside
from taskbridge.store import Begin
from taskbridge.store.flow import ChainState


class Tasks:
    """One of each kind."""

    def __init__(self, bridge: Bridge) -> None:
        task = bridge.task

        @task(queue="links")
        def number(a: int = 0) -> int:
            return a

        @task
        def add(a: int, b: int = 0) -> int:
            return a + b

        @task
        def say(text: str) -> str:
            return text

        @task
        def nothing() -> None: ...

        @task
        def maybe(a: int | None, *, why: str = "") -> date: ...  # type: ignore[empty-body]

        @task
        def anything(a, *more):  # type: ignore[no-untyped-def]
            return a

        @task
        def of_a_class() -> Bridge:
            return bridge

        @task
        def by_name(*, a: int = 0) -> None: ...

        @task(unique="until_done")
        def only_one(a: int) -> None: ...

        self.number, self.add, self.say, self.nothing, self.maybe = number, add, say, nothing, maybe
        self.anything: Task[..., Any] = anything
        self.of_a_class, self.by_name, self.only_one = of_a_class, by_name, only_one
        self.theirs = bridge.external("legacy.report", queue="theirs")


@pytest.fixture
def tasks(bridge: Bridge) -> Tasks:
    return Tasks(bridge)


def kept(bridge: Bridge, id: str) -> ChainState:
    state = bridge.store.chains.look(id)
    assert state
    return state


def first(bridge: Bridge) -> Message:
    (due,) = bridge.store.outbox.take(10)
    return decode(due.body)


def test_a_chain_is_made_of_signatures(tasks: Tasks):
    """By name, by ``|``, of other chains and of what makes them one by one: always the same."""
    a, b, c = tasks.number.s(1), tasks.add.s(2), tasks.add.si(1)
    made = chain(a, b, c)

    assert (a, b, c) == made.links
    same: list[Chain] = [a | b | c, a | (b | c), chain(a | b, c), chain([a, b, c]), chain(one for one in (a, b | c))]
    assert [made] * 5 == same
    assert [made] == [chain(made)]


def test_a_chain_lies_in_the_store_before_it_begins(bridge: Bridge, tasks: Tasks):
    """The first message says which link it is, and no more."""
    receipt = (tasks.number.s(1) | tasks.add.s(2) | tasks.add.si(1)).enqueue()

    state, message = kept(bridge, receipt.chain), first(bridge)
    assert (0, 2, "stop") == (state.at, state.left, state.on_error)
    assert (receipt.id, f"{receipt.chain}:0", True) == (message.id, message.id, receipt.created)
    assert message.flow
    assert (receipt.chain, 0, True) == (message.flow.chain, message.flow.link, message.flow.gives)


def test_the_first_link_is_told_as_sent(bridge: Bridge, tasks: Tasks):
    """Once, by whoever has enqueued the chain; those that follow it are when they are made."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)

    receipt = (tasks.number.s(1) | tasks.add.s(2)).enqueue()

    assert [(Sent, receipt.id)] == [(type(one), one.id) for one in heard]


def test_the_message_of_a_long_chain_is_no_larger(bridge: Bridge, tasks: Tasks):
    """Of 10,000 links and of two."""
    sizes = []
    for links in (2, 10_000):
        receipt = chain(tasks.number.s(n) if n == 0 else tasks.add.s(1) for n in range(links)).enqueue()
        record = bridge.store.messages.look(receipt.id)
        assert record
        sizes.append(len(record.body))

    assert sizes[0] == sizes[1]
    assert 9_999 == kept(bridge, receipt.chain).left


def test_a_first_link_may_be_delayed(bridge: Bridge, tasks: Tasks):
    """As any message; its options are its own."""
    receipt = (tasks.number.s(1).using(delay=60, queue="other", expires=5) | tasks.add.s()).enqueue()

    record = bridge.store.messages.look(receipt.id)
    assert record
    assert ("DELAYED", "other") == (record.state, record.queue)


@pytest.mark.parametrize(
    ("made", "error", "says"),
    [
        (lambda t: chain(), ConfigError, "at least one link"),
        (lambda t: chain([]), ConfigError, "at least one link"),
        (lambda t: chain(t.number), ConfigError, r"a link of a chain: expected a signature .* write number.s\(\)"),
        (lambda t: chain(t.number.s(), t.add), ConfigError, r"write add.s\(\)"),
        (lambda t: t.number.s() | t.add, ConfigError, r"write add.s\(\)"),
        (lambda t: chain(t.number.s(), "app.add"), ConfigError, "expected a signature such as load.s.*, got 'app.add'"),
        (lambda t: chain(t.number.s(), None), ConfigError, "got None"),
        (
            lambda t: chain(t.number.s(), t.nothing.s()),
            ArgumentError,
            r"link 2 .* cannot take it: .*; .si",
        ),
        (lambda t: chain(t.number.s(), t.by_name.s()), ArgumentError, "link 2 .* cannot take it: too many positional"),
        (lambda t: chain(t.number.s(), t.add.s(1, 2)), ArgumentError, "link 2 .* too many positional"),
        (lambda t: chain(t.number.s(), t.add.s(a=1)), ArgumentError, "multiple values for argument 'a'"),
        (
            lambda t: chain(t.nothing.s(), t.add.s()),
            ArgumentError,
            "'a' of .*add is annotated int.* returns None",
        ),
        (lambda t: chain(t.say.s("x"), t.add.s()), ArgumentError, "annotated int, and .*say returns str"),
        (lambda t: t.number.s() | t.add.s() | t.say.s(), ArgumentError, "link 3 .* annotated str.* returns int"),
        (lambda t: chain(t.maybe.s(1), t.number.s()), ArgumentError, "returns datetime.date"),
        (lambda t: chain(t.of_a_class.s(), t.anything.s()), ConfigError, "its result is annotated .*Bridge"),
        (lambda t: chain(t.only_one.s(1)), ConfigError, "link 1 of the chain: .*unique is decided when a call is enq"),
        (lambda t: chain(t.number.s().using(debounce=3)), ConfigError, "debounce is decided when"),
        (
            lambda t: chain(t.number.s(), t.add.s().using(idempotency_key="k")),
            ConfigError,
            "link 2.*idempotency_key is",
        ),
        (lambda t: chain(t.theirs.s(), t.add.s()), ConfigError, "link 2 .*legacy.report.* can only be the last link"),
        (lambda t: chain(t.theirs.s()), ConfigError, "can only be the last of several"),
        (lambda t: chain(t.number.s(), on_error="retry"), ConfigError, "'stop', 'continue' or what is called"),
        (lambda t: chain(t.number.s(), on_error=t.say), ConfigError, r"on_error: .* write say.s\(\)"),
        (lambda t: chain(t.number.s(), on_error=t.add.s()), ArgumentError, "'a' is annotated int; .si"),
        (lambda t: chain(t.number.s(), on_error=t.nothing.s()), ArgumentError, "on_error: .* cannot take it"),
        (lambda t: chain(t.number.s(), on_error=t.only_one.si(1)), ConfigError, "on_error: .* unique is decided"),
        (lambda t: chain(t.number.s(), t.add.s(), on_error="continue"), ArgumentError, "'a' .* is given None when"),
        (
            lambda t: chain(chain(t.number.s(), on_error="continue"), t.add.si(1)),
            ConfigError,
            "said once, of the whole",
        ),
        (lambda t: t.number.s() | chain(t.maybe.s(), on_error="continue"), ConfigError, "said once, of the whole"),
    ],
)
def test_what_cannot_be_a_chain_is_refused_when_it_is_made(tasks: Tasks, made: Any, error: type[Exception], says: str):
    """With the number of the link, and the reason."""
    with pytest.raises(error, match=says):
        made(tasks)


@pytest.mark.parametrize(
    "made",
    [
        lambda t: chain(t.number.s(), t.maybe.s(why="x"), on_error="continue"),
        lambda t: chain(t.number.s(), t.add.si(1), on_error="continue") | t.maybe.si(1),
        lambda t: chain(t.nothing.s(), t.maybe.s()),
        lambda t: chain(t.nothing.s(), t.nothing.si(), t.anything.s(1, 2), t.add.s(1)),
        lambda t: chain(t.number.s(), t.theirs.s(1, x=2)),
        lambda t: chain(t.of_a_class.s(), t.nothing.si(), t.of_a_class.si()),
        lambda t: chain(t.number.s(), on_error=t.say.s()),
        lambda t: chain(t.number.s(), on_error=t.add.si(1)),
        lambda t: chain(t.number.s(), on_error=t.theirs.s()),
        lambda t: chain(chain(t.number.s(), on_error="continue"), t.maybe.s(), on_error="continue"),
    ],
)
def test_what_can_be_one_is(bridge: Bridge, tasks: Tasks, made: Any):
    """A result that goes nowhere may be of any kind."""
    assert kept(bridge, made(tasks).enqueue().chain)


def test_the_rest_of_a_chain_may_be_made_first(tasks: Tasks):
    """Its first link takes a result; by itself it is not complete."""
    rest = tasks.add.s(b=1) | tasks.add.s(2)

    assert chain(tasks.number.s(1), tasks.add.s(b=1), tasks.add.s(2)) == tasks.number.s(1) | rest
    with pytest.raises(ArgumentError, match="missing a required argument: 'a'"):
        rest.enqueue()
    with pytest.raises(ArgumentError, match=r"link 2 .* annotated int, and .* returns str"):
        tasks.say.s("x") | rest


def test_a_failure_may_call(bridge: Bridge, tasks: Tasks):
    """What is called has the id of the chain, and says so."""
    receipt = chain(tasks.number.s(), tasks.add.s(), on_error=tasks.say.s()).enqueue()

    assert "call" == kept(bridge, receipt.chain).on_error


def test_a_large_first_link_leaves_nothing(bridge: Bridge, tasks: Tasks):
    """It is refused before anything is kept."""
    with pytest.raises(PayloadTooLarge):
        (tasks.say.s("x" * 70_000) | tasks.say.s()).enqueue()

    assert [] == bridge.store.chains.newest(10)


def test_the_same_chain_is_one_where_calls_are(bridge: Bridge, tasks: Tasks):
    """In a chunk that is repeated it is enqueued once; another link, or another end, makes another chain."""
    bridge.store.batches.open("b", when="all_done", then=None, error=None)

    def enqueue(last: int, **more: Any) -> tuple[str, bool]:
        with inside(Scope(seed="run 7", within=Within(batches=("b",)))):
            receipt = chain(tasks.number.s(1), tasks.add.s(last), **more).enqueue()
        return receipt.chain, receipt.created

    (once, created), (again, repeated) = enqueue(1), enqueue(1)
    others = {enqueue(2), enqueue(1, on_error=tasks.say.s()), enqueue(1, on_error=tasks.say.si("x"))}

    assert (once, True, False) == (again, created, repeated)
    assert 3 == len({id for id, _ in others} - {once})
    batch = bridge.store.batches.look("b")
    assert batch
    assert 4 == batch.total


def test_a_chunk_that_lost_its_claim_begins_no_chain(bridge: Bridge, tasks: Tasks):
    """What it kept is forgotten."""
    message = Message(id="chunk", task="t", queue="q")
    bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="new", max_crashes=1))
    lost = Scope(seed="s", within=Within(chunk="chunk", claim="old"))

    with inside(lost), pytest.raises(ClaimLost):
        chain(tasks.number.s(1), tasks.add.s()).enqueue()

    assert [] == bridge.store.outbox.take(10)


def test_arguments_travel_as_their_own_task_says(bridge: Bridge, tasks: Tasks):
    """A value behind a result is checked as its own parameter is annotated."""
    with pytest.raises(ArgumentError, match="expected"):
        tasks.number.s(1) | tasks.add.s("two")  # type: ignore[call-overload]

    receipt = (tasks.number.s(1) | tasks.anything.s([1, "x"])).enqueue()
    assert [1] == json.loads(bytes(first(bridge).args))
    assert 1 == kept(bridge, receipt.chain).left
