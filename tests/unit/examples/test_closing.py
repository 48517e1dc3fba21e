"""What is done with whole accounts: reconciled once, what is refused named, reported when there is something new."""

from pathlib import Path

import pytest

from examples.fintech import closing, imports, raw, reports, rows
from examples.fintech.database import Database
from taskbridge import BatchProgress, cron
from taskbridge.current import running

from .imports import do, import_all
from .messages import a_message

#: A batch that has come to its end with one failed member.
ONE_FAILED = BatchProgress(id="b", total=3, open=0, done=2, failed=1, dropped=0, sealed=True)


def test_an_account_is_reconciled_once_with_what_is_off(each_db: Database):
    """Whatever the balance beside the ledger is off is written down, and the first word counts."""
    raw.save_rows(each_db, [(2, "1;7;..."), (3, "2;7;..."), (4, "3;7;...")])
    each_db.change("INSERT INTO ledger VALUES (2, 7, 100, 1)")
    each_db.change("INSERT INTO ledger VALUES (3, 7, -30, 2)")
    each_db.change("INSERT INTO accounts VALUES (7, 3, 75)")

    closing.reconcile(each_db, 7)
    each_db.change("UPDATE accounts SET entries = 2, balance_cents = 70")
    closing.reconcile(each_db, 7)

    assert [(7, 2, 70, 1, 5, 1)] == each_db.rows("SELECT * FROM reconciliations")
    assert [4] == closing.unbooked(each_db, 7)


def test_refusals_are_as_many_as_the_batch_says(db: Database, export: Path, monkeypatch: pytest.MonkeyPatch):
    """The row without a booking is named, once; where the batch has another number, nothing is."""
    expected, _ = import_all(db, export)
    db.change("DELETE FROM refusals")
    db.change("UPDATE raw_rows SET refused = 0")
    ((row, account),) = expected.refused.items()
    monkeypatch.setattr(imports, "database", lambda: db)

    monkeypatch.setattr(imports, "batch_progress", {"b": None}.get)
    with running(a_message(id="early")), pytest.raises(ValueError, match=f"0 bookings have failed.*{row}"):
        imports.refuse(account, "b")
    monkeypatch.setattr(imports, "batch_progress", {"b": ONE_FAILED}.get)
    for message in ("first", "again"):
        with running(a_message(id=message)):
            imports.refuse(account, "b")

    assert [(row, account)] == db.rows("SELECT * FROM refusals")


def test_the_links_of_an_import_hold_what_they_are_given_against_the_file(
    db: Database, export: Path, monkeypatch: pytest.MonkeyPatch
):
    """Pages and rows are counted on the way, once; accounts are not posted when a row is missing."""
    monkeypatch.setattr(imports, "database", lambda: db)
    pages, saved = len(list(rows.pages(export, 90))), len(export.read_text().splitlines()) - 1

    for message in ("first", "again"):
        with running(a_message(id=f"split {message}")):
            assert pages == imports.split(str(export), 90)
        with running(a_message(id=f"load {message}")):
            assert saved == imports.load(pages)

    with running(a_message(id="post")), pytest.raises(ValueError, match=f"expected {saved + 1} rows"):
        imports.post(saved + 1)


def test_no_report_while_an_import_is_under_way(each_db: Database, export: Path):
    """One account that is not reconciled holds back all; then they come in their order, page by page."""
    expected, _ = import_all(each_db, export)
    first, second, *_, last = sorted(expected.accounts)

    each_db.change("UPDATE postings SET reconciled = 0 WHERE account_id = ?", last)
    before = closing.closed_after(each_db, None, 5)
    each_db.change("UPDATE postings SET reconciled = 1")

    assert [] == before
    assert [first] == closing.closed_after(each_db, None, 1)
    assert [second] == closing.closed_after(each_db, first, 1)
    assert [] == closing.closed_after(each_db, last, 5)


def test_a_second_night_reports_what_is_new_and_nothing_else(each_db: Database, export: Path):
    """An account without a new entry gets no second report."""
    expected, _ = import_all(each_db, export)
    first, second, *_ = sorted(expected.accounts)
    each_db.change("INSERT INTO ledger VALUES (999999, ?, -5, 999999)", second)

    for account in (first, second):
        closing.report(each_db, account)

    found = each_db.rows("SELECT account_id, COUNT(*) FROM reports GROUP BY account_id ORDER BY account_id")
    assert [(first, 1), (second, 2)] == found[:2]


def test_a_chunk_of_reports_knows_how_many_are_under_way(each_db: Database, export: Path):
    """Those of the accounts before it that are not done."""
    expected, _ = import_all(each_db, export)
    each_db.change("DELETE FROM effects WHERE effect = 'report'")
    each_db.change("DELETE FROM report_chunks")
    accounts = sorted(expected.accounts)

    do(each_db, "send_reports", accounts[0])
    for account in accounts[:3]:
        do(each_db, "report", account)
    do(each_db, "send_reports", accounts[8])

    assert [(0,), (5,)] == each_db.rows("SELECT waiting FROM report_chunks ORDER BY waiting")


def test_the_reports_are_sent_at_two_in_prague():
    """The bank is Czech; its night is not UTC's."""
    assert [cron("0 2 * * *", tz="Europe/Prague")] == [reports.send_reports.options.schedule]
