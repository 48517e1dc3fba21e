"""Publish what is due, delayed and ready alike: lease, publish in bulk, then mark. Nothing is popped first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..enqueue import Sender, by_backend, copies_of, send_copies, tell
from ..errors import BrokerUnavailable, ConfigError, DecodeError, PayloadTooLarge, StoreFull
from ..message import Message, decode
from ..store import RELAY_LEASE_MS, Due
from .hands import Hands, Load
from .oversize import end_oversize
from .trickle import MOST_HELD, Trickle

log = logging.getLogger("taskbridge.relay")

#: How many messages are taken at a time.
BATCH = 1_000

#: How long a round of that may take, and of waiting for brokers, seconds: the relay has other duties, and its lead.
ROUND_S = 0.5

#: How often it is said that a backend's broker is full, seconds: one that drains has room and none many times a second.
WARN_EVERY_S = 10.0


@dataclass(slots=True)
class PublishDue:
    """The duty of moving due messages to the engine that is current now.

    What a full broker refused stays in hand, leased, and trickles; what is due for others goes on meanwhile. ``fresh``
    are those that the store has made, of what is in hand or marked now: listeners are told that they were sent when
    they are. ``to`` is where each was published. ``more`` says that more was due than was taken. ``warned_s`` is when a
    backend was last said to be full. ``patience_s`` is how long a round waits for brokers where there are several.
    """

    sender: Sender
    patience_s: float = ROUND_S
    fresh: set[str] = field(default_factory=set)
    to: dict[str, str] = field(default_factory=dict)
    more: bool = False
    warned_s: dict[str, float] = field(default_factory=dict)
    trickle: Trickle = field(init=False)
    hands: Hands = field(init=False)

    def __post_init__(self) -> None:
        self.trickle = Trickle(self.sender)
        self.hands = Hands(self._hand_over, self.patience_s)

    def __call__(self) -> int:
        self.trickle.forget_lapsed()
        self.fresh &= self.trickle.ids()
        self.more = False
        try:
            marked = self._settle(self.hands.through())
            if self.hands.several or len(self.trickle) < MOST_HELD:
                marked += self._settle(self.hands.work(self._loads()))
        finally:  # whatever is wrong with another broker
            poured = self._pour()
        return marked + poured

    def _pour(self) -> int:
        """Hand over what is in hand; there is time to wait for room where nothing is due for others."""
        poured = 0
        for few in self.trickle.pour(0.0 if self.more and self.hands.several else ROUND_S):
            self.to |= {message.id: self.sender.route(message) for message in few}
            poured += self._mark(few)
        problems, self.trickle.problems = self.trickle.problems, []
        if problems:  # theirs stay leased
            raise problems[0]
        return poured

    def _settle(self, loads: Iterable[Load]) -> int:
        """Mark what was handed over; returns how much."""
        marked, wrong = 0, []
        for load in loads:
            if load.why and not self.trickle.waits_for(load.backend):
                self._warn(load)
            for messages, front in load.full:
                self.trickle.hold(load.backend, messages, load.leased_until_s, front=front)
            self.fresh |= load.fresh
            self.to |= dict.fromkeys((message.id for message in load.published), load.backend)
            marked += self._mark(load.published)
            for copies in load.copies:
                self._shadow(copies, load.published)
            wrong += [*load.problems, *([load.fault] if load.fault else [])]
        if wrong:  # theirs stay leased
            raise wrong[0]
        return marked

    def _warn(self, load: Load) -> None:
        """Say that its broker is full, once in a while."""
        now_s = self.sender.clock.monotonic_s()
        if now_s >= self.warned_s.get(load.backend, -WARN_EVERY_S) + WARN_EVERY_S:
            self.warned_s[load.backend] = now_s
            log.warning("what is due trickles, %d messages at first: %s", load.refused, load.why)

    def _loads(self) -> Iterable[Load]:
        """Take what is due; those that have waited already are fetched before what lies in the queue."""
        leased_until_s = self.sender.clock.monotonic_s() + RELAY_LEASE_MS / 1000
        due = self.sender.store().outbox.take(BATCH)
        self.more = len(due) == BATCH
        now_ms = self.sender.clock.now_ms()
        taken = [(message, one.front) for one in due if (message := _published(one, now_ms))]
        fresh = {one.id for one in due if one.fresh_ms}
        loads: dict[str, Load] = {}
        for front in (True, False):
            waiting = [message for message, waited in taken if waited is front]
            for name, messages in by_backend(waiting, self.sender).items():
                load = loads.setdefault(name, Load(backend=name, leased_until_s=leased_until_s))
                load.copies.append(copies_of({name: messages}, self.sender))  # of those at the front there are none
                load.parts.append((messages, front))
                load.fresh |= fresh.intersection(message.id for message in messages)
        return loads.values()

    def _hand_over(self, load: Load) -> None:
        """Publish it, unless it had to wait for so long that others may have it."""
        if self.sender.clock.monotonic_s() >= load.leased_until_s:
            return
        for messages, front in load.parts:
            behind = {one.queue for one in messages if self.trickle.holds(load.backend, one.queue)}
            if behind:
                load.full.append(([one for one in messages if one.queue in behind], front))
            if free := [one for one in messages if one.queue not in behind]:
                self._hand(load, free, front=front)

    def _hand(self, load: Load, messages: list[Message], *, front: bool) -> None:
        """Publish to one backend. What it never takes holds up nothing else, nor does a queue that cannot be had."""
        try:
            self.sender.backend(load.backend).publish(messages, front=front)
        except ConfigError as error:
            by_queue: dict[str, list[Message]] = {}
            for message in messages:
                by_queue.setdefault(message.queue, []).append(message)
            if len(by_queue) == 1:
                load.problems.append(error)
            else:
                for few in by_queue.values():
                    self._hand(load, few, front=front)
        except PayloadTooLarge as error:
            if len(messages) == 1:
                end_oversize(messages[0], load.backend, error, self.sender)
            else:
                half = len(messages) // 2
                for few in (messages[:half], messages[half:]):
                    self._hand(load, few, front=front)
        except BrokerUnavailable as error:
            load.problems.append(error)
        except StoreFull as error:
            load.full.append((messages, front))
            load.refused += len(messages)
            load.why = str(error)
        else:
            load.published += messages

    def _shadow(self, copies: dict[str, list[Message]], published: Sequence[Message]) -> None:
        """Send the copies of what was published."""
        if not copies:
            return
        sent = {message.id for message in published}
        theirs = {name: [one for one in some if one.shadow and one.shadow.of in sent] for name, some in copies.items()}
        send_copies(theirs, self.sender)

    def _mark(self, published: Sequence[Message]) -> int:
        if published:
            self.sender.store().outbox.mark([(message.id, message.seq) for message in published], self.to)
            self.to.clear()
            made = [message for message in published if message.id in self.fresh]
            tell(made, [True] * len(made), self.sender)
            self.fresh.difference_update(message.id for message in made)
        return len(published)


def _published(due: Due, now_ms: int) -> Message | None:
    """Return the copy to publish; None for one that a newer release wrote, which waits for its relay."""
    try:
        message = decode(due.body).copy(id=due.id, seq=due.seq, attempt=due.attempt, released_at_ms=now_ms)
        return _stamped(message, due.fresh_ms) if due.fresh_ms else message
    except DecodeError as error:
        log.error("%s is due and stays where it is: %s", due.id, error)  # noqa: TRY400
        return None


def _stamped(message: Message, made_ms: int) -> Message:
    """What the store made of a body written long ago is enqueued and due then, and expires so long after that."""
    lives_ms = message.expires_at_ms - message.first_due_ms if message.expires_at_ms else 0
    return message.copy(enqueued_at_ms=made_ms, due_at_ms=0, expires_at_ms=made_ms + lives_ms if lives_ms else 0)
