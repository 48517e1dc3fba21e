"""What the bank does with an account whose rows have all been booked or refused: it is reconciled, and reported.

Each is a part of the caller's transaction, and changes nothing when done again. Guards and evidence: see ``bank``.
"""

from __future__ import annotations

from collections.abc import Iterable

from .database import Database
from .raw import LOWEST


def reconcile(db: Database, account: int) -> None:
    """Compare an account's ledger with the balance kept beside it, and write down what was found."""
    if not db.change("UPDATE postings SET reconciled = 1 WHERE account_id = ? AND reconciled = 0", account):
        return
    ((entries, cents),) = db.rows("SELECT COUNT(*), COALESCE(SUM(cents), 0) FROM ledger WHERE account_id = ?", account)
    kept = db.rows("SELECT entries, balance_cents FROM accounts WHERE id = ?", account) or [(0, 0)]
    ((rows,),) = db.rows("SELECT COUNT(*) FROM raw_rows WHERE account_id = ?", account)
    db.change(
        "INSERT INTO reconciliations (account_id, entries, cents, entries_off, cents_off, unbooked)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        *(account, entries, cents, kept[0][0] - entries, kept[0][1] - cents, rows - entries),
    )


def unbooked(db: Database, account: int) -> list[int]:
    """Return the rows of an account that are not in its ledger."""
    found = db.rows(
        "SELECT id FROM raw_rows WHERE account_id = ?"
        " AND id NOT IN (SELECT transaction_id FROM ledger WHERE account_id = ?) ORDER BY id",
        *(account, account),
    )
    return [row for (row,) in found]


def refuse(db: Database, account: int, rows: Iterable[int]) -> None:
    """Write down which rows of an account could not be booked."""
    for row in rows:
        if db.change("UPDATE raw_rows SET refused = 1 WHERE id = ? AND refused = 0", row):
            db.change("INSERT INTO refusals (row_id, account_id) VALUES (?, ?)", row, account)


def closed_after(db: Database, after: int | None, limit: int) -> list[int]:
    """Return the next accounts in their order; none while an import is under way."""
    found = db.rows(
        "SELECT id FROM accounts WHERE id > ? AND NOT EXISTS (SELECT 1 FROM postings WHERE reconciled = 0)"
        " ORDER BY id LIMIT ?",
        *(LOWEST if after is None else after, limit),
    )
    return [account for (account,) in found]


def note_chunk(db: Database, number: int, first: int) -> None:
    """Write down how many reports are under way when a chunk of them begins: those before it that are not done."""
    ((sent,),) = db.rows("SELECT COUNT(*) FROM accounts WHERE id < ?", first)
    ((done,),) = db.rows("SELECT COUNT(*) FROM effects WHERE effect = 'report'")
    db.change("INSERT INTO report_chunks (number, waiting) VALUES (?, ?)", number, sent - done)


def report(db: Database, account: int) -> None:
    """Tell an owner what the account has come to, unless there is nothing new since the last time."""
    ((entries, credits, debits),) = db.rows(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN cents >= 0 THEN cents END), 0),"
        " COALESCE(SUM(CASE WHEN cents < 0 THEN cents END), 0) FROM ledger WHERE account_id = ?",
        account,
    )
    news = db.change(
        "INSERT INTO reported (account_id, entries) VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE"
        " SET entries = excluded.entries WHERE excluded.entries > reported.entries",
        *(account, entries),
    )
    if news:
        db.change(
            "INSERT INTO reports (account_id, entries, credits_cents, debits_cents) VALUES (?, ?, ?, ?)",
            *(account, entries, credits, debits),
        )
