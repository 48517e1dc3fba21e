"""What SQS has handed to one worker process: in the loop's hand, or brought by a poll and waiting for it.

A thread deletes what is settled, ten at a time; hides what runs for longer; and shows what is not begun to others
again when a task takes long. Whatever goes wrong here, or with this process, costs time and no message: what is not
deleted is seen again, and recognised when it is begun.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice

import msgspec

from ..backend import Delivery
from ..clock import SystemClock
from ..errors import TaskbridgeError
from .client import Client, reasons
from .queues import VISIBILITY_S

log = logging.getLogger("taskbridge.worker")

#: Most receipts of one request. Source: Amazon SQS Developer Guide, "Amazon SQS batch actions".
MOST = 10

#: How long what is settled waits for more to be deleted with it, seconds.
SETTLED_S = 0.05

#: A loop that asked or settled nothing for so long runs one task, seconds; nothing else is held meanwhile.
LONG_RUN_S = 1.0

#: The same where nothing is in its hand: it may serve another backend. An idle loop asks each second.
QUIET_S = 2.5

_CHANGE = "change_message_visibility_batch"

#: How long until what runs and could not be hidden again is hidden once more, seconds.
AGAIN_S = 1.0

#: How often a deletion is tried, and how long the end of a process may take, seconds.
TRIES = 3
CLOSE_S = 5.0


class Receipt(msgspec.Struct, eq=False, kw_only=True):
    """A message as SQS has handed it over: hidden from others until then."""

    url: str
    handle: str
    queue: str
    text: str
    until_s: float
    delivery: Delivery | None = None
    tries: int = 0


class Receipts:
    """The receipts of one consumer.

    Args:
        client: where they are from.
        ring: called when something was brought.
    """

    def __init__(self, client: Client, ring: Callable[[], None]) -> None:
        self.changed = threading.Condition()
        self.closed = False
        self._client = client
        self._clock = SystemClock()
        self._ring = ring
        self._hand: dict[str, Receipt] = {}
        self._brought: dict[str, deque[Receipt]] = {}
        self._settled: deque[Receipt] = deque()
        self._settled_s = 0.0
        self._life_s = 0.0
        self._asking = False
        self._thread: threading.Thread | None = None

    def show_life(self) -> None:
        """The loop settles, or has asked."""
        self._life_s = self._clock.monotonic_s()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The loop asks: it runs nothing, however long the answer takes."""
        self._asking = True
        try:
            yield
        finally:
            self.show_life()
            with self.changed:
                self._asking = False
                self.changed.notify_all()

    @property
    def lively(self) -> bool:
        """Whether the loop would take what is brought now."""
        quiet_s = LONG_RUN_S if self._hand else QUIET_S
        return not self.closed and (self._asking or self._clock.monotonic_s() - self._life_s < quiet_s)

    def hold(self, taken: Iterable[Receipt]) -> None:
        """The loop has these in hand; it begins the first one first."""
        with self.changed:
            for one in taken:
                assert one.delivery is not None
                self._hand[one.delivery.tag] = one
            self._begin()

    def bring(self, name: str, got: Sequence[Receipt]) -> None:
        """A poll of the queue of this name brought these; the loop is told, or they go back when it is busy."""
        with self.changed:
            wanted = self.lively
            if wanted:
                self._brought.setdefault(name, deque()).extend(got)
                self._begin()
        if wanted:
            self._ring()
        else:
            self._show(got)

    def take(self, name: str, limit: int) -> list[Receipt]:
        """Return up to so many of what polls have brought."""
        with self.changed:
            brought = self._brought.get(name, ())
            return [self._brought[name].popleft() for _ in range(min(limit, len(brought)))]

    def settle(self, tag: str) -> None:
        """Delete it, soon; nothing when it was given back."""
        self.show_life()
        with self.changed:
            if one := self._hand.pop(tag, None):
                if not self._settled:
                    self._settled_s = self._clock.monotonic_s()
                self._settled.append(one)
                if len(self._settled) in (1, MOST):
                    self._begin()

    def give_back(self, tags: Iterable[str]) -> None:
        """Show these to others again.

        Raises:
            BrokerUnavailable: no answer; they are shown when their time is over.
        """
        with self.changed:
            back = [one for tag in tags if (one := self._hand.pop(tag, None))]
        for url, few in _batches(back):
            self._client.call(_CHANGE, QueueUrl=url, Entries=_entries(few, VisibilityTimeout=0))

    def close(self) -> None:
        """Delete what is settled, show the rest to others again."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        if self._thread:
            self._thread.join(CLOSE_S)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)
            self._thread.start()
        self.changed.notify_all()

    def _run(self) -> None:
        closed = False
        while not closed:
            with self.changed:
                if not self.closed:
                    self.changed.wait(self._due_in_s())
                closed, settled, back, run = self.closed, self._to_delete(), self._to_show(), self._to_hide()
            try:
                self._delete(settled)
                self._show(back)
                self._hide(run)
            except Exception:  # our own fault, or a vendor's: without this thread nothing would be deleted
                log.exception("what SQS has handed over was not seen to; it comes again by itself")

    def _due_in_s(self) -> float | None:
        """How long until there is something to do; None when only others can tell."""
        due_s = []
        if self._settled:
            due_s.append(self._settled_s + SETTLED_S if len(self._settled) < MOST else 0.0)
        if not self._asking and (len(self._hand) > 1 or any(self._brought.values())):
            due_s.append(self._life_s + (LONG_RUN_S if self._hand else QUIET_S))
        held = [*self._hand.values(), *(one for brought in self._brought.values() for one in brought)]
        due_s += [one.until_s - VISIBILITY_S / 2 for one in held]
        return max(0.0, min(due_s) - self._clock.monotonic_s()) if due_s else None

    def _to_delete(self) -> list[Receipt]:
        now_s = self._clock.monotonic_s()
        if self.closed or len(self._settled) >= MOST or (self._settled and now_s >= self._settled_s + SETTLED_S):
            settled, self._settled = list(self._settled), deque()
            return settled
        return []

    def _to_show(self) -> list[Receipt]:
        """Take what is not begun, and would wait for long: all of it while a task runs, but the first, which does."""
        if self.lively:
            return self._late(self._clock.monotonic_s() + VISIBILITY_S / 2)
        back = self._late(float("inf"))
        for tag in list(islice(self._hand, 0 if self.closed else 1, None)):
            one = self._hand.pop(tag)
            assert one.delivery is not None
            one.delivery.withdrawn = True
            back.append(one)
        return back

    def _late(self, late_s: float) -> list[Receipt]:
        """Take what was brought and is hidden until then at most."""
        return [q.popleft() for q in self._brought.values() for one in list(q) if one.until_s <= late_s]

    def _to_hide(self) -> list[Receipt]:
        if self.closed:
            return []
        late_s = self._clock.monotonic_s() + VISIBILITY_S / 2
        late = [one for one in self._hand.values() if one.until_s <= late_s]
        for one in late:  # counted from now on
            one.until_s = late_s + VISIBILITY_S / 2
        return late

    def _delete(self, settled: Sequence[Receipt]) -> None:
        refused, why = self._ask("delete_message_batch", settled)
        if refused:
            self._delete_again(refused, why)

    def _delete_again(self, few: Sequence[Receipt], why: str) -> None:
        for one in few:
            one.tries += 1
        again = [one for one in few if one.tries < TRIES and not self.closed]
        log.warning("%d messages were settled and not deleted, %d tried again: %s", len(few), len(again), why)
        with self.changed:
            self._settled.extend(again)
            self._settled_s = self._clock.monotonic_s() + SETTLED_S * 10

    def _show(self, back: Sequence[Receipt]) -> None:
        refused, why = self._change(back, 0)
        if refused:
            log.warning("%d messages were not given back and come again by themselves: %s", len(refused), why)

    def _hide(self, run: Sequence[Receipt]) -> None:
        refused, why = self._change(run, VISIBILITY_S)
        if refused:
            log.warning("%d messages that run may be seen again, and are recognised: %s", len(refused), why)
            again_s = self._clock.monotonic_s() + AGAIN_S
            for one in refused:
                one.until_s = again_s + VISIBILITY_S / 2

    def _change(self, some: Sequence[Receipt], seconds: int) -> tuple[list[Receipt], str]:
        return self._ask(_CHANGE, some, VisibilityTimeout=seconds)

    def _ask(self, action: str, some: Sequence[Receipt], **more: int) -> tuple[list[Receipt], str]:
        """Ask for something of each of these; returns for which it may be asked again, and why.

        Not for what SQS calls the sender's fault: it is gone, or another has received it.
        """
        refused: list[Receipt] = []
        why = ""
        for url, few in _batches(some):
            try:
                answer = self._client.call(action, QueueUrl=url, Entries=_entries(few, **more))
            except TaskbridgeError as error:
                refused, why = [*refused, *few], str(error)
                continue
            over = {one["Id"] for one in answer.get("Successful", ())}
            over |= {one["Id"] for one in answer.get("Failed", ()) if one.get("SenderFault")}
            if left := [one for n, one in enumerate(few) if str(n) not in over]:
                refused, why = [*refused, *left], reasons(answer)
        return refused, why


def _entries(few: Sequence[Receipt], **more: int) -> list[dict[str, object]]:
    return [{"Id": str(n), "ReceiptHandle": one.handle, **more} for n, one in enumerate(few)]


def _batches(some: Sequence[Receipt]) -> Iterator[tuple[str, list[Receipt]]]:
    """Cut into what goes in one request each."""
    for url, of_one in groupby(sorted(some, key=lambda one: one.url), key=lambda one: one.url):
        while few := list(islice(of_one, MOST)):
            yield url, few
