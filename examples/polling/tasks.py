"""A payment as one task: start it at the provider, then ask until the provider has decided, or for long enough.

The worker is free between two questions, and the message stays the same: its id, its attempt, its place in line.

    TASKBRIDGE_BACKEND=celery taskbridge worker examples.polling.tasks
"""

from __future__ import annotations

import os

from taskbridge import Backoff, Current, RateLimit, Reschedule, Throttled, current, on_failure, task

from . import client, payments
from .database import opened

#: How long between two questions, and from when a payment was requested until it is given up, seconds.
EVERY_S = float(os.environ.get("POLLING_EVERY_S", "1"))
GIVE_UP_AFTER_S = float(os.environ.get("POLLING_GIVE_UP_AFTER_S", "20"))


@task(
    queue="payments",
    timeout=5,
    hard_timeout=10,
    retry=Backoff(max_retries=5, base=0.2, cap=5),
    rate_limit=RateLimit("20/s", name="provider"),
)
def pay(payment: str, ref: str = "") -> None:
    """Pay through the provider; ``ref`` is its name for the payment, once it has one."""
    try:
        if ref:
            status = client.ask(ref, current().remaining)
        else:
            ref, status = _start(payment), "pending"
    except client.TooMany as busy:
        raise Throttled(busy.retry_after_s) from busy
    if status == "pending":
        raise Reschedule(EVERY_S, kwargs={"ref": ref}, give_up_after=GIVE_UP_AFTER_S)
    with opened() as db, current().inbox(db.connection) as fresh:
        if fresh:
            payments.move(db, payment, status)


@on_failure
def write_down(me: Current, error: BaseException, final: bool) -> None:
    """Tell the front end that no answer will come: the provider was given up, or every attempt has failed."""
    if not final or me.task != pay.name:
        return
    with opened() as db, db.transaction():
        payment = payments.of_message(db, me.id)
        payments.move(db, payment, "gave up" if isinstance(error, Reschedule) else "failed")


def _start(payment: str) -> str:
    """Have the provider take it. Killed in between, this runs again: the provider and the row know it by then."""
    with opened() as db:
        payments.take(db, payment, current().id)
        ref = client.start(payment, payments.find(db, payment).cents, current().remaining)
        payments.sent(db, payment, ref)
    return ref
