"""Publish what is due, delayed and ready alike: lease, publish in bulk, then mark. Nothing is popped first."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..enqueue import Sender, by_backend, publish, tell
from ..errors import BrokerUnavailable, ConfigError, DecodeError, StoreFull, TaskbridgeError
from ..message import Message, decode
from ..store import RELAY_LEASE_MS, Due

log = logging.getLogger("taskbridge.relay")

#: How many messages are taken at a time.
BATCH = 1_000

#: A full broker is handed so many that the store keeps already, and no more while so many wait: each is there twice.
TRICKLE = 100

#: How long to leave a full broker alone while so many wait, seconds.
PAUSE_S = 0.02

#: How long a round of that may take, seconds: the relay has other duties, and its lead to renew.
ROUND_S = 0.5


@dataclass(slots=True)
class PublishDue:
    """The duty of moving due messages to the engine that is current now.

    What a full broker refused stays in ``hand``, leased, and trickles through the workers a few at a time: that frees
    the memory it fills. When the lease ends first, it is taken again. ``fresh`` are those that the store has made:
    listeners are told that they were sent when they are.
    """

    sender: Sender
    hand: deque[Message] = field(default_factory=deque)
    fresh: set[str] = field(default_factory=set)
    leased_until_s: float = 0.0

    def __call__(self) -> int:
        if self.sender.clock.monotonic_s() >= self.leased_until_s:
            self.hand.clear()
            self.fresh.clear()
        return self._trickle() if self.hand else self._publish()

    def _publish(self) -> int:
        leased_until_s = self.sender.clock.monotonic_s() + RELAY_LEASE_MS / 1000
        due = self.sender.store().outbox.take(BATCH)
        now_ms = self.sender.clock.now_ms()
        copies = [(message, one.front) for one in due if (message := _published(one, now_ms))]
        self.fresh.update(one.id for one in due if one.fresh_ms)
        published: list[Message] = []
        problems: list[TaskbridgeError] = []
        for front in (True, False):  # those that have waited already are fetched before what lies in the queue
            waiting = [message for message, waited in copies if waited is front]
            for name, messages in by_backend(waiting, self.sender).items():
                try:
                    self._hand_over(name, messages, front, published, problems)
                except StoreFull as error:
                    log.warning("what is due trickles, %d messages at first: %s", len(messages), error)
                    self.hand.extend(messages)
                    self.leased_until_s = leased_until_s
        marked = self._mark(published)
        if problems:  # theirs stay leased
            raise problems[0]
        return marked + (self._trickle() if self.hand else 0)

    def _hand_over(
        self, name: str, messages: list[Message], front: bool, published: list[Message], problems: list[TaskbridgeError]
    ) -> None:
        """Publish to one backend. A queue that cannot be had holds up no other, nor does a broker that is away."""
        try:
            self.sender.backend(name).publish(messages, front=front)
        except ConfigError as error:
            by_queue: dict[str, list[Message]] = {}
            for message in messages:
                by_queue.setdefault(message.queue, []).append(message)
            if len(by_queue) == 1:
                problems.append(error)
            else:
                for few in by_queue.values():
                    self._hand_over(name, few, front, published, problems)
        except BrokerUnavailable as error:
            problems.append(error)
        else:
            published += messages

    def _trickle(self) -> int:
        """Hand a full broker what it has room for, for one round; returns how much."""
        clock, published = self.sender.clock, 0
        round_ends_s = clock.monotonic_s() + ROUND_S
        while self.hand and clock.monotonic_s() < round_ends_s:
            few = list(islice(self.hand, TRICKLE))
            if not self._has_room(few):
                clock.sleep(PAUSE_S)
                continue
            publish(few, self.sender, kept=True)
            for _ in few:
                self.hand.popleft()
            published += self._mark(few)
        return published

    def _has_room(self, messages: Sequence[Message]) -> bool:
        places = {(self.sender.route(message), message.queue) for message in messages}
        return all(self.sender.backend(backend).depth(queue) < TRICKLE for backend, queue in places)

    def _mark(self, published: Sequence[Message]) -> int:
        if published:
            self.sender.store().outbox.mark([(message.id, message.seq) for message in published])
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
