"""A report to every owner, each night: started by a schedule, enqueued by chunks, one task for each account."""

from __future__ import annotations

from taskbridge import Chunk, chunked, cron, current, keyset, task

from . import bank, closing
from .database import database

#: How many accounts are reported at a time, and while how many reports are under way no more are enqueued.
ACCOUNTS_A_CHUNK = 20
MOST_REPORTS = 40


def closed_after(after: int | None, limit: int) -> list[int]:
    """Return the next accounts to report on, in their order; none while an import is under way."""
    return closing.closed_after(database(), after, limit)


@task(queue="reports", priority=7, schedule=cron("0 2 * * *", tz="Europe/Prague"))
@chunked(over=keyset(closed_after), size=ACCOUNTS_A_CHUNK, max_backlog=MOST_REPORTS)
def send_reports(chunk: Chunk[int]) -> None:
    """Enqueue the reports of some accounts."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            closing.note_chunk(db, chunk.number, chunk.items[0])
            bank.record(db, current().id, "send_reports", chunk.number)
    report.enqueue_many({"account": account} for account in chunk)


@task(queue="reports")
def report(account: int) -> None:
    """Tell one owner what the account has come to."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            closing.report(db, account)
            bank.record(db, current().id, "report", account)
