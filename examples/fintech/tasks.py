"""The import as tasks: a page of rows, then each row by its id: booked, screened for fraud, its owner told.

Each task commits its effect once, through the message's inbox, and enqueues what follows after that, every time it
runs: a crash in between loses nothing, and what is enqueued twice finds its work done.

    TASKBRIDGE_BACKEND=celery taskbridge worker examples.fintech.tasks --queues imports,bookings,screening,notifications
"""

from __future__ import annotations

from pathlib import Path

from taskbridge import Backoff, current, task

from . import bank, provider, rows, rules
from .database import database

QUEUES = ("imports", "bookings", "screening", "notifications")


@task(queue="imports", priority=9)
def hello() -> None:
    """Say that a worker is there."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.record(db, current().id, "hello", "")


@task(queue="imports")
def load(path: str, number: int, first_line: int, offset_bytes: int, lines: int) -> None:
    """Save one page of the file, then hand on the ids of its rows."""
    db = database()
    page = rows.Page(number, first_line, offset_bytes, lines)
    found = list(rows.read(Path(path), page))
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.save_rows(db, found)
            bank.record(db, current().id, "load", number)
    book.enqueue_many({"row": row} for row, _ in found)


@task(queue="bookings", retry=Backoff(max_retries=3, base=0.2, cap=1))
def book(row: int) -> None:
    """Read, categorise and book one row; a row that cannot be read goes to the dead letters after its retries."""
    db = database()
    entry = rows.parse(row, bank.raw_row(db, row))
    category = rules.categorise(entry)
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.book(db, entry, category)
            bank.record(db, current().id, "book", row)
    if rules.is_screened(entry):
        screen.enqueue(row)
    elif rules.is_told(entry):
        notify.enqueue(rules.credit_notification(row))


@task(queue="screening")
def screen(row: int) -> None:
    """Check one debit for fraud, by its amount and by how many there were that day."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.screen(db, row)
            bank.record(db, current().id, "screen", row)
    for alert in bank.alerts_of(db, row):
        notify.enqueue(rules.alert_notification(alert))


@task(queue="notifications", priority=7, expires=600, retry=Backoff(max_retries=8, base=0.05, cap=1))
def notify(notification: str) -> None:
    """Tell the owner, unless it is old news by now. The provider is out of order now and then, so some are retried."""
    db = database()
    if not bank.is_sent(db, notification):
        provider.send(notification, attempt=current().attempt)
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.mark_sent(db, notification)
            bank.record(db, current().id, "notify", notification)
