"""Verify finds what is wrong: each law damages a good import, and has to be told."""

from pathlib import Path

import pytest

from examples.fintech import bank
from examples.fintech.database import Database
from examples.fintech.reports import MOST_REPORTS
from examples.fintech.verify import verify

from .imports import import_all


def test_a_good_import_is_exact(each_db: Database, export: Path):
    """An import that did everything once passes."""
    expected, receipts = import_all(each_db, export)

    verdict = verify(each_db, expected, receipts)

    assert verdict.good, (verdict.findings, verdict.wrong)


def test_nothing_changes_when_everything_is_done_twice(each_db: Database, export: Path):
    """Follow-ups that were enqueued twice, as messages of their own, find their work done."""
    expected, _ = import_all(each_db, export)
    each_db.change("UPDATE effects SET message_id = 'first ' || message_id")

    _, again = import_all(each_db, export)
    verdict = verify(each_db, expected, again)

    assert verdict.good, (verdict.findings, verdict.wrong)
    assert [(2,)] == each_db.rows("SELECT COUNT(*) FROM effects WHERE effect = 'book' AND subject = '2'")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM ledger WHERE transaction_id = 2", "1 lost: rows never booked"),
        ("DELETE FROM raw_rows WHERE id = 2", "1 lost: rows never saved"),
        ("DELETE FROM effects WHERE message_id = 'load'", "1 lost: receipts whose message never had its effect"),
        ("DELETE FROM deliveries", "lost: owners never told"),
        ("DELETE FROM settlements WHERE transaction_id = (SELECT MIN(id) FROM transfers)", "1 lost: transfers never"),
        ("DELETE FROM alerts", "lost: alerts never raised"),
        ("DELETE FROM effects WHERE effect = 'screen'", "lost: debits never screened"),
        ("DELETE FROM shown_balances WHERE account_id = 1", "1 lost: balances never shown"),
        ("DELETE FROM reconciliations WHERE account_id = 1", "1 lost: accounts never reconciled"),
        ("DELETE FROM refusals", "1 lost: rows never refused"),
        ("DELETE FROM reports WHERE account_id = 1", "1 lost: reports never sent"),
    ],
)
def test_what_is_lost_is_found(db: Database, export: Path, damage: str, finding: str):
    """Each kind of loss is seen, counted and named."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    verdict = verify(db, expected, receipts)

    assert verdict.lost > 0
    assert not verdict.good
    assert any(finding in found for found in verdict.findings), verdict.findings


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("INSERT INTO ledger SELECT * FROM ledger WHERE transaction_id = 2", "1 done twice: transactions booked again"),
        (
            "INSERT INTO deliveries SELECT MIN(notification_id) FROM deliveries",
            "1 done twice: notifications delivered again",
        ),
        (
            "INSERT INTO settlements SELECT * FROM settlements WHERE transaction_id = (SELECT MIN(id) FROM transfers)",
            "1 done twice: transfers settled again",
        ),
        (
            "INSERT INTO effects SELECT * FROM effects WHERE message_id = 'book-2'",
            "1 done twice: messages with a second",
        ),
        (
            "INSERT INTO reconciliations SELECT * FROM reconciliations WHERE account_id = 1",
            "1 done twice: accounts reconciled again",
        ),
        ("INSERT INTO refusals SELECT * FROM refusals", "1 done twice: refusals told again"),
        ("INSERT INTO reports SELECT * FROM reports WHERE account_id = 1", "1 done twice: reports sent again"),
    ],
)
def test_what_is_done_twice_is_found(db: Database, export: Path, damage: str, finding: str):
    """Each kind of double is seen, counted and named."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    verdict = verify(db, expected, receipts)

    assert 1 == verdict.doubled
    assert not verdict.good
    assert any(finding in found for found in verdict.findings), verdict.findings


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ledger SET cents = cents + 1 WHERE transaction_id = 2",
        "UPDATE accounts SET balance_cents = balance_cents - 1 WHERE id = (SELECT MIN(id) FROM accounts)",
        "UPDATE accounts SET entries = entries + 1 WHERE id = (SELECT MIN(id) FROM accounts)",
        "INSERT INTO accounts VALUES (999999, 0, 0)",
        "INSERT INTO ledger VALUES (999999, 1, 0, 999999)",
        "UPDATE shown_balances SET cents = cents + 1 WHERE account_id = 1",
        "UPDATE shown_balances SET entries = entries - 1 WHERE account_id = 1",
        "INSERT INTO shown_balances VALUES (999999, 0, 0)",
        "INSERT INTO alerts VALUES ('amount:1', 1)",
        "INSERT INTO settlements VALUES (1, 1)",
        "UPDATE settlements SET looks = looks + 1 WHERE transaction_id = (SELECT MIN(id) FROM transfers)",
        "UPDATE reconciliations SET entries = entries + 1 WHERE account_id = 2",
        "UPDATE reconciliations SET cents = cents - 1 WHERE account_id = 2",
        "UPDATE reconciliations SET cents_off = 1 WHERE account_id = 2",
        "UPDATE reconciliations SET entries_off = -1 WHERE account_id = 2",
        "UPDATE reconciliations SET unbooked = unbooked + 1 WHERE account_id = 2",
        "UPDATE reconciliations SET unbooked = 0 WHERE account_id = 1",
        "INSERT INTO reconciliations VALUES (999999, 0, 0, 0, 0, 0)",
        "INSERT INTO refusals VALUES (2, 1)",
        "UPDATE refusals SET account_id = account_id + 1",
        "UPDATE reports SET entries = entries + 1 WHERE account_id = 1",
        "UPDATE reports SET credits_cents = credits_cents + 1 WHERE account_id = 1",
        "UPDATE reports SET debits_cents = debits_cents + 1 WHERE account_id = 1",
        "INSERT INTO reports VALUES (999999, 0, 0, 0)",
    ],
)
def test_a_cent_is_missed(db: Database, export: Path, damage: str):
    """A single cent, entry, row or look too many is not exact."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    assert not verify(db, expected, receipts).exact


def test_bookings_that_overlap_are_found(db: Database, export: Path):
    """Two of one account with the same number are named, though every cent is right."""
    expected, receipts = import_all(db, export)
    db.change("UPDATE ledger SET ordinal = 1 WHERE account_id = 1 AND ordinal = 2")

    verdict = verify(db, expected, receipts)

    assert ("account 1: 2 bookings overlapped, each as number 1",) == verdict.wrong
    assert (0, 0) == (verdict.lost, verdict.doubled)
    assert not verdict.good


def test_refreshes_that_nobody_shares_are_found(db: Database, export: Path):
    """As many refreshes as bookings, ten of them an account: uniqueness has spared nothing. One fewer is fine."""
    expected, receipts = import_all(db, export)
    for number in range(len(expected.accounts) + 1, len(expected.booked)):
        bank.record(db, f"refresh-again-{number}", "refresh", 1)

    before = verify(db, expected, receipts)
    bank.record(db, "refresh-again-last", "refresh", 1)
    after = verify(db, expected, receipts)

    assert before.good, before.wrong
    assert 199 == before.refreshes
    assert ("200 refreshes of shown balances for 200 bookings: none was shared",) == after.wrong


def test_a_poison_row_is_named_with_its_account(db: Database, export: Path):
    """The account of the one row that cannot be booked is reconciled with it, all others without."""
    expected, _ = import_all(db, export)

    ((row, account),) = expected.refused.items()
    assert [(row, account)] == db.rows("SELECT row_id, account_id FROM refusals")
    assert [(account, 1)] == db.rows("SELECT account_id, unbooked FROM reconciliations WHERE unbooked <> 0")


def test_reports_that_flood_the_queue_are_found(db: Database, export: Path):
    """A chunk that began while more reports were under way than may be is named; as many as may be are fine."""
    expected, receipts = import_all(db, export)

    db.change("INSERT INTO report_chunks VALUES (1, ?)", MOST_REPORTS)
    before = verify(db, expected, receipts)
    db.change("INSERT INTO report_chunks VALUES (2, ?)", MOST_REPORTS + 1)
    after = verify(db, expected, receipts)

    assert before.good, before.wrong
    assert (
        f"chunk 2 of the reports began while {MOST_REPORTS + 1} were under way, {MOST_REPORTS} at most",
    ) == after.wrong


def test_a_receipt_without_an_end_is_lost(db: Database, export: Path):
    """The producer's own list counts, whatever else is right."""
    expected, receipts = import_all(db, export)

    assert 1 == verify(db, expected, [*receipts, "never-ran"]).lost
