"""What is done with each row, as tasks: it is booked, screened, settled, its owner told and shown the balance.

Each task commits its effect once, through the message's inbox, and enqueues what follows after that, every time it
runs: a crash in between loses nothing, and what is enqueued twice finds its work done.
"""

from __future__ import annotations

from taskbridge import Backoff, Lock, RateLimit, Reschedule, Throttled, current, task

from . import bank, clearing, raw, rows, rules
from .database import database
from .provider import ProviderBusy, send

#: What each provider takes: below what the bookings lead to at their peak, so that some wait for their turn.
PROVIDER_RATE = "30/s"

#: How long between two looks whether a transfer is settled, and when it is looked for no more, seconds.
LOOK_S = 0.2
GIVE_UP_AFTER_S = 3_600


@task(queue="imports", priority=9)
def hello() -> None:
    """Say that a worker is there."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.record(db, current().id, "hello", "")


@task(queue="bookings", lock=Lock("account:{account}"), retry=Backoff(max_retries=3, base=0.2, cap=1))
def book(row: int, account: int) -> None:
    """Read, categorise and book one row; a row that cannot be read goes to the dead letters after its retries."""
    db = database()
    ordinal = bank.next_ordinal(db, account)  # outside of the transaction: it is right because of the lock
    entry = rows.parse(row, raw.row(db, row))
    if entry.account != account:
        raise ValueError(f"line {row} is of account {entry.account}, and account {account} is locked for it")
    category = rules.categorise(entry)
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.book(db, entry, category, ordinal)
            bank.record(db, current().id, "book", row)
    if rules.is_screened(entry):
        screen.enqueue(row)
    elif rules.is_told(entry):
        _tell(rules.credit_notification(row))
    if rules.is_cleared(entry):
        settle.enqueue(row)
    refresh.enqueue(account)


@task(queue="balances", priority=2, unique="until_started")
def refresh(account: int) -> None:
    """Show the customer the new balance: last of all, and once for all bookings that came before it starts."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.refresh(db, account)
            bank.record(db, current().id, "refresh", account)


@task(queue="screening")
def screen(row: int) -> None:
    """Check one debit for fraud, by its amount and by how many there were that day."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.screen(db, row)
            bank.record(db, current().id, "screen", row)
    for alert in bank.alerts_of(db, row):
        _tell(rules.alert_notification(alert))


@task(queue="settlements", unique="until_done", unique_by=("row",))
def settle(row: int, reference: str = "", look: int = 0) -> None:
    """Hand one large transfer to the clearing house, then look until it is settled; nobody waits between two looks."""
    reference = reference or clearing.submit(row)
    if not clearing.is_settled(reference, look):
        raise Reschedule(LOOK_S, kwargs={"reference": reference, "look": look + 1}, give_up_after=GIVE_UP_AFTER_S)
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.mark_settled(db, row, look)
            bank.record(db, current().id, "settle", row)


@task(
    queue="notifications",
    priority=7,
    expires=600,
    timeout=5,
    hard_timeout=10,
    retry=Backoff(max_retries=8, base=0.05, cap=1),
    rate_limit=RateLimit(PROVIDER_RATE, key="{provider}", name="provider"),
)
def notify(notification: str, provider: str) -> None:
    """Tell the owner, unless it is old news by now. A provider fails now and then, or wants a pause for all."""
    db = database()
    if not bank.is_sent(db, notification):
        try:
            send(provider, notification, attempt=current().attempt, start=current().starts)
        except ProviderBusy as busy:
            raise Throttled(busy.retry_after_s) from busy
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.mark_sent(db, notification)
            bank.record(db, current().id, "notify", notification)


def _tell(notification: str) -> None:
    notify.enqueue(notification, rules.provider_of(notification))
