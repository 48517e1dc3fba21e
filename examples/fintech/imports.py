"""The import of a file as a chain, ``split | load | post``, and of each account as a batch that ends in ``reconcile``.

Each link is given what the one before has counted, and holds it against what it finds. The rows of an account are the
members of its batch: when all of them are booked or dead, it is reconciled, once, and what could not be booked is told.

    TASKBRIDGE_BACKEND=celery taskbridge worker examples.fintech.imports examples.fintech.reports \\
        --group money=1:bookings,balances,reports \\
        --group rest=1:imports,bookings,screening,settlements,notifications,reconciliations,reports
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taskbridge import Chain, Chunk, batch_progress, chain, chunked, current, keyset, open_batch, task

from . import bank, closing, raw, rows
from .database import database
from .tasks import book

if TYPE_CHECKING:
    from taskbridge.flow.batch import OpenBatch

#: How many accounts are posted at a time, and while how many of their bookings are under way no more are.
ACCOUNTS_A_CHUNK = 25
MOST_BOOKINGS = 500


def import_of(path: Path, page_lines: int) -> Chain:
    """Return the import of a file, ready to be enqueued."""
    return chain(split.s(str(path.resolve()), page_lines), load.s(), post.s())


def accounts_after(after: int | None, limit: int) -> list[int]:
    """Return the next accounts to post, in their order."""
    return raw.accounts_after(database(), after, limit)


@task(queue="imports")
def split(path: str, page_lines: int) -> int:
    """Cut the file into pages; returns how many there are. The rows stay in the file."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            raw.save_pages(db, Path(path), rows.pages(Path(path), page_lines))
            bank.record(db, current().id, "split", path)
    return raw.page_count(db)


@task(queue="imports")
def load(pages: int) -> int:
    """Save the rows of all pages, one page in a transaction; returns how many rows there are."""
    db = database()
    for number in range(1, pages + 1):
        with db.transaction():
            raw.save_rows(db, raw.read_page(db, number))
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.record(db, current().id, "load", pages)
    return raw.row_count(db)


@task(queue="imports")
@chunked(over=keyset(accounts_after), size=ACCOUNTS_A_CHUNK, max_backlog=MOST_BOOKINGS)
def post(chunk: Chunk[int], total: int) -> None:
    """Enqueue the bookings of some accounts, a batch for each."""
    db = database()
    if chunk.number == 0 and total != (saved := raw.row_count(db)):
        raise ValueError(f"expected {total} rows, as they were loaded; {saved} are there")
    with current().inbox(db.connection) as fresh:
        if fresh:
            bank.record(db, current().id, "post", chunk.number)
    for account in chunk:
        with _batch_of(account) as batch:
            batch.enqueue_many(book, [{"row": row, "account": account} for row in raw.rows_of(db, account)])


@task(queue="reconciliations")
def reconcile(account: int) -> None:
    """Compare the account's ledger with its balance, now that every row of it is booked or dead."""
    db = database()
    with current().inbox(db.connection) as fresh:
        if fresh:
            closing.reconcile(db, account)
            bank.record(db, current().id, "reconcile", account)


@task(queue="reconciliations")
def refuse(account: int, batch: str) -> None:
    """Name the rows of the account that could not be booked: as many as the batch says have failed."""
    db, progress = database(), batch_progress(batch)
    found, failed = closing.unbooked(db, account), progress.failed if progress else 0
    if len(found) != failed:
        raise ValueError(f"account {account}: {failed} bookings have failed, and the rows without one are {found}")
    with current().inbox(db.connection) as fresh:
        if fresh:
            closing.refuse(db, account, found)
            bank.record(db, current().id, "refuse", account)


def _batch_of(account: int) -> OpenBatch:
    batch = open_batch(when="all_done", then=reconcile.s(account), name=f"account-{account}")
    return batch.on_error(refuse.s(account, batch.id))
