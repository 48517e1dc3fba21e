"""What operators do, at random and while workers work, on both stores at once: each answers as the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from taskbridge.message import Message
from taskbridge.needs import NeedsLock, NeedsTokens, Within
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.steps import begin, finish
from tests.servers import RedisServer

from .faked import FakedRedis
from .twins import Twins

pytestmark = pytest.mark.service("redis")

SUBJECTS = [
    *[("task", name) for name in ("tests.send", "tests.other")],
    *[("queue", name) for name in ("mail", "slow")],
    *[("key", name) for name in ("a", "r")],
]

#: By the number of a message, what it needs.
NEEDS: dict[int, dict[str, Any]] = {
    0: {},
    1: {"locks": (NeedsLock("a"),)},
    2: {"rates": (NeedsTokens(key="r", name="r", interval_us=1_000_000, burst=1, weight=1),)},
    3: {"locks": (NeedsLock("a", "skip"),)},
    4: {"locks": (NeedsLock("a"), NeedsLock("b"))},
}

ENDS = ["DONE", "DONE", "DEAD", "DELAYED", "READY", "PARKED"]


#: As often as they are named.
VERBS = """put publish deliver deliver end end pause resume let_on cancel kill lose release time mark relay replay"""


class Walk:
    """Some messages and their copies; each step is one request, or time that passes."""

    def __init__(self, store: Twins, advance: Callable[[int], None], seed: int) -> None:
        self.store, self.advance, self.random = store, advance, random.Random(seed)
        self.messages = [
            a_message(id=f"m{n}", task="tests.other" if n % 3 == 2 else "tests.send", queue="slow" if n % 2 else "mail")
            for n in range(5)
        ]
        self.bag: list[Message] = []
        self.claims: list[tuple[Message, str]] = []
        self.taken: list[tuple[str, int]] = []
        self.number = 0

    def step(self) -> None:
        getattr(self, self.random.choice(VERBS.split()))()

    def one(self) -> Message:
        return self.random.choice(self.messages)

    def put(self) -> None:
        foreign = self.random.random() < 0.2
        within = Within(foreign=True) if foreign else Within()
        self.store.outbox.put([self.one()], self.random.choice([0, 0, 500]), within)

    def publish(self) -> None:
        self.bag.append(self.one())

    def relay(self) -> None:
        for due in sorted(self.store.outbox.take(10), key=lambda due: due.id):
            message = next(one for one in self.messages if one.id == due.id)
            self.bag.append(message.copy(seq=due.seq, attempt=due.attempt, released_at_ms=1))
            self.taken.append((due.id, due.seq))

    def mark(self) -> None:
        if self.taken:
            self.store.outbox.mark([self.taken.pop(self.random.randrange(len(self.taken)))])

    def deliver(self) -> None:
        if self.bag:
            message = self.random.choice(self.bag)
            self.number += 1
            claim = f"c{self.number}"
            if begin(self.store, message, claim, **NEEDS[int(message.id[1:])], max_crashes=2).verdict == "run":
                self.claims.append((message, claim))
            elif self.random.random() < 0.8:
                self.bag.remove(message)

    def end(self) -> None:
        if self.claims:
            message, claim = self.random.choice(self.claims)
            how = self.random.choice(ENDS)
            why = "" if how == "DONE" else "OSError"
            finish(self.store, message, claim, how, counted=True, due_ms=700, group="slow", why=why)

    def pause(self) -> None:
        kind, name = self.random.choice(SUBJECTS)
        self.store.control.pause(kind, name, who="me", why="a b")

    def resume(self) -> None:
        self.store.control.resume(*self.random.choice(SUBJECTS))

    def let_on(self) -> None:
        self.store.control.let_on(self.random.choice([0, 1, 10]))

    def cancel(self) -> None:
        self.store.control.cancel(self.one().id, "cancelled by me")

    def kill(self) -> None:
        self.store.control.cancel(self.one().id, "cancelled by me", kill=True)

    def lose(self) -> None:
        if self.claims:
            message, claim = self.random.choice(self.claims)
            self.store.claims.lose(message.id, claim)

    def release(self) -> None:
        if self.claims:
            message, claim = self.random.choice(self.claims)
            self.store.claims.release(message.id, claim)

    def replay(self) -> None:
        self.store.dead.replay(self.one().id)

    def time(self) -> None:
        self.advance(self.random.choice([1, 300, 1_000, 20_000]))
        self.store.waiting.let_out(100)

    def look(self) -> None:
        for message in self.messages:
            self.store.messages.look(message.id)
        self.store.messages.counts()
        self.store.control.pauses()
        self.store.control.halts()
        self.store.waiting.locks()


@pytest.mark.parametrize("seed", range(8))
def test_both_stores_say_the_same(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, seed: int):
    """Of pauses, cancels and whoever meets them, each answer and all that is kept."""
    redis, clock = FakedRedis(redis_server, monkeypatch), FakeClock()
    redis.empty()

    def advance(ms: int) -> None:
        redis.advance(ms)
        clock.advance(ms / 1000)

    walk = Walk(Twins(MemoryStore(clock), redis.store), advance, seed)  # type: ignore[arg-type]
    for _ in range(300):
        walk.step()
        walk.look()
        advance(1)
