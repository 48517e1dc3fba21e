"""A payment's way through its states, one row each. A change that was made already changes nothing.

requested -> waiting (the provider has it) -> done, declined or gave up; or failed, when the provider is out of order.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from ..fintech.database import Database

#: From which states a state is reached. What was given up, or has failed, goes on when its message is replayed.
BEFORE = {
    "waiting": ("requested", "failed"),
    "done": ("waiting", "gave up", "failed"),
    "declined": ("waiting", "gave up", "failed"),
    "gave up": ("waiting",),
    "failed": ("requested", "waiting"),
}

#: How many the front end is shown.
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as it stands; ``steps`` are the states it came through, this one last."""

    id: str
    cents: int
    state: str
    steps: tuple[str, ...]


def request(db: Database, key: str, cents: int) -> tuple[Payment, bool]:
    """Keep a payment under its client's key; returns it, and whether it is new."""
    with db.transaction():
        id = uuid.uuid4().hex
        new = db.change(
            "INSERT INTO payments (id, idempotency_key, cents, state, requested_at_ms)"
            " VALUES (?, ?, ?, 'requested', ?) ON CONFLICT DO NOTHING",
            *(id, key, cents, time.time_ns() // 1_000_000),
        )
        if new:
            _write_step(db, id, "requested")
    ((id,),) = db.rows("SELECT id FROM payments WHERE idempotency_key = ?", key)
    return find(db, id), bool(new)


def find(db: Database, id: str) -> Payment:
    """Return a payment.

    Raises:
        LookupError: there is none with this id.
    """
    found = db.rows("SELECT cents, state FROM payments WHERE id = ?", id)
    if not found:
        raise LookupError(f"there is no payment {id!r}")
    ((cents, state),) = found
    steps = db.rows("SELECT state FROM steps WHERE payment_id = ? ORDER BY ordinal", id)
    return Payment(id=id, cents=int(cents), state=state, steps=tuple(step for (step,) in steps))


def newest(db: Database) -> list[Payment]:
    """Return the last ones, the newest first."""
    ids = db.rows("SELECT id FROM payments ORDER BY requested_at_ms DESC, id LIMIT ?", SHOWN)
    return [find(db, id) for (id,) in ids]


def take(db: Database, id: str, message_id: str) -> None:
    """Write down which message is about a payment, so that what becomes of the one is found by the other."""
    db.change("UPDATE payments SET message_id = ? WHERE id = ?", message_id, id)


def of_message(db: Database, message_id: str) -> str:
    """Return the payment that a message is about; nothing when it is about none."""
    found = db.rows("SELECT id FROM payments WHERE message_id = ?", message_id)
    return str(found[0][0]) if found else ""


def sent(db: Database, id: str, ref: str) -> None:
    """Write down that the provider has a payment, and under which name."""
    with db.transaction():
        db.change("UPDATE payments SET provider_ref = ? WHERE id = ?", ref, id)
        move(db, id, "waiting")


def move(db: Database, id: str, state: str) -> None:
    """Put a payment into a state, as part of the caller's transaction; nothing when it is not on its way there."""
    moved = [db.change("UPDATE payments SET state = ? WHERE id = ? AND state = ?", state, id, b) for b in BEFORE[state]]
    if any(moved):
        _write_step(db, id, state)


def _write_step(db: Database, id: str, state: str) -> None:
    db.change(
        "INSERT INTO steps (payment_id, ordinal, state) SELECT ?, COUNT(*) + 1, ? FROM steps WHERE payment_id = ?",
        *(id, state, id),
    )
