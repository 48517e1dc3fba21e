"""What a worker and a relay do to a store, in one line each; and the base of all laws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ...clock import SystemClock
from ...message import Message, decode, encode
from ...needs import ALONE, Same, Within
from ...store import GAP_MS, LEASE_MS, Begin, Begun, Finish, Record, Store

#: How often a living sweeper comes, in these tests.
SWEEP_MS = GAP_MS // 2


class Laws:
    """What a subclass per store supplies: a ``store`` fixture, a new and empty one, and the passing of time."""

    def advance(self, store: Store, ms: int) -> None:
        """Let the store see so much time pass: move its fake clock, or make all that it keeps look older."""
        raise NotImplementedError

    def a_lease_passes(self, store: Store, *renewed: tuple[Message, str]) -> list[str]:
        """Let claims lapse while a sweeper lives and these claims are renewed; returns the ids that were swept.

        Where the machine halted for as long as no sweeper may be away, claims have one lease more.
        """
        clock, swept = SystemClock(), store.claims.sweep(100)
        halted = True
        while halted:
            halted = False
            for _ in range(LEASE_MS // SWEEP_MS + 1):
                swept_s = clock.monotonic_s()
                self.advance(store, SWEEP_MS)
                store.claims.renew((message.id, claim) for message, claim in renewed)
                swept += store.claims.sweep(100)
                halted |= clock.monotonic_s() - swept_s > (GAP_MS - SWEEP_MS) / 2_000
        return swept


def begin(store: Store, message: Message, claim: str = "c1", *, max_crashes: int = 3, **needs: Any) -> Begun:
    """Ask to run this copy; ``needs`` are its locks and rates."""
    request = Begin(message=message, body=encode(message), claim=claim, max_crashes=max_crashes, **needs)
    return store.claims.begin(request)


def finish(store: Store, message: Message, claim: str = "c1", state: str = "DONE", **more: Any) -> str:
    """Tell what became of it."""
    return store.claims.finish(Finish(id=message.id, claim=claim, state=state, **more))


def run(store: Store, message: Message, claim: str = "c1", state: str = "DONE", **more: Any) -> str:
    """Begin and finish; the copy must be one that runs."""
    assert "run" == begin(store, message, claim).verdict
    return finish(store, message, claim, state, **more)


def put_once(
    store: Store, messages: Sequence[Message], same: Sequence[tuple[Same, ...]], wait_ms: int, within: Within = ALONE
) -> list[str]:
    """Keep each unless the same is there; returns the ids of those that stand."""
    return [one.id for one in store.outbox.put_once(messages, same, wait_ms, within)]


def take(store: Store) -> list[Message]:
    """Lease what is due and return the copies that would be published."""
    return [decode(due.body).copy(id=due.id, seq=due.seq, attempt=due.attempt) for due in store.outbox.take(100)]


def publish(store: Store) -> list[Message]:
    """Do a relay's whole work; returns the copies that the engine has now."""
    copies = take(store)
    store.outbox.mark([(copy.id, copy.seq) for copy in copies])
    return copies


def look(store: Store, message: Message) -> Record:
    """Return the record of a message that has one."""
    record = store.messages.look(message.id)
    assert record is not None
    return record


def state(store: Store, message: Message) -> tuple[str, int]:
    """Return the state and sequence number of a message that has a record."""
    record = look(store, message)
    return record.state, record.seq


def recount(store: Store, messages: Iterable[Message]) -> dict[tuple[str, str], int]:
    """Count these messages by looking at each."""
    records = [record for message in messages if (record := store.messages.look(message.id))]
    counted = {"READY", "DELAYED", "PARKED", "LOCKED", "THROTTLED", "HELD", "PAUSED", "DEAD"}
    return dict(Counter((record.queue, record.state) for record in records if record.state in counted))
