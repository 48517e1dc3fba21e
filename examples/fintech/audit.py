"""Hold what the bank does with whole accounts against the plain loop: reconciliations, refusals and reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from .database import Database
from .plain import Account, Expected
from .reports import MOST_REPORTS

#: How many rows of evidence there are beyond the first of each kind.
SURPLUS = {
    "accounts reconciled again": "SELECT COUNT(*) - 1 FROM reconciliations GROUP BY account_id",
    "refusals told again": "SELECT COUNT(*) - 1 FROM refusals GROUP BY row_id",
    "reports sent again": "SELECT COUNT(*) - 1 FROM reports GROUP BY account_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What has been done with whole accounts.

    Args:
        reconciled: accounts whose batch has called back.
        refused: rows whose account was told that they cannot be booked.
        reports: how many there are.
        chunks: in how many they were enqueued.
        waiting: how many were under way at most when a chunk began.
    """

    reconciled: int
    refused: int
    reports: int
    chunks: int
    waiting: int


def closing_of(db: Database) -> Closing:
    """Count what is there."""
    ((reconciled, refused, reports, chunks, waiting),) = db.rows(
        "SELECT (SELECT COUNT(*) FROM reconciliations), (SELECT COUNT(*) FROM refusals),"
        " (SELECT COUNT(*) FROM reports), (SELECT COUNT(*) FROM report_chunks),"
        " (SELECT COALESCE(MAX(waiting), 0) FROM report_chunks)"
    )
    return Closing(reconciled=reconciled, refused=refused, reports=reports, chunks=chunks, waiting=waiting)


def lost(db: Database, expected: Expected) -> dict[str, int]:
    """How many effects must be there and are not."""
    reconciled = {account for (account,) in db.rows("SELECT account_id FROM reconciliations")}
    refused = {row for (row,) in db.rows("SELECT row_id FROM refusals")}
    reported = {account for (account,) in db.rows("SELECT account_id FROM reports")}
    return {
        "accounts never reconciled": len(expected.posted - reconciled),
        "rows never refused": len(expected.refused.keys() - refused),
        "reports never sent": len(expected.accounts.keys() - reported),
    }


def wrong(db: Database, expected: Expected) -> Iterable[str]:
    """Say what differs from the plain loop, what is there and must not be, and chunks that did not wait."""
    yield from _wrong_reconciliations(db, expected)
    yield from _wrong_refusals(db, expected)
    yield from _wrong_reports(db, expected)
    for number, waiting in sorted(db.rows("SELECT number, waiting FROM report_chunks")):
        if waiting > MOST_REPORTS:
            yield f"chunk {number} of the reports began while {waiting} were under way, {MOST_REPORTS} at most"


def _wrong_reconciliations(db: Database, expected: Expected) -> Iterable[str]:
    refused = list(expected.refused.values())
    query = "SELECT account_id, entries, cents, entries_off, cents_off, unbooked FROM reconciliations"
    for number, entries, cents, entries_off, cents_off, unbooked in sorted(db.rows(query)):
        account = expected.accounts.get(number, Account())
        should = (account.count, account.total, refused.count(number))
        found = (entries, _money(cents), unbooked)
        if number not in expected.posted:
            yield f"account {number}: reconciled, and no row is about it"
        elif should != found:
            yield f"account {number}: expected {_say(*should)}, it was reconciled with {_say(*found)}"
        elif (entries_off, cents_off) != (0, 0):
            yield f"account {number}: its balance is {entries_off} entries and {_money(cents_off)} off its ledger"


def _wrong_refusals(db: Database, expected: Expected) -> Iterable[str]:
    for row, account in sorted(db.rows("SELECT row_id, account_id FROM refusals")):
        if expected.refused.get(row) != account:
            yield f"row {row} of account {account}: refused, and it is good or of another account"


def _wrong_reports(db: Database, expected: Expected) -> Iterable[str]:
    for number, entries, credits, debits in sorted(db.rows("SELECT * FROM reports")):
        account, found = expected.accounts.get(number), (entries, _money(credits), _money(debits))
        should = (account.count, account.credits, account.debits) if account else None
        if should != found:
            yield f"account {number}: expected {_tell(should)}, got {_tell(found)}"


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _say(entries: int, total: Decimal, unbooked: int) -> str:
    return f"{entries} entries of {total} in all and {unbooked} rows that are not booked"


def _tell(report: tuple[int, Decimal, Decimal] | None) -> str:
    return "a report of {} entries, {} in and {} out".format(*report) if report else "no report"
