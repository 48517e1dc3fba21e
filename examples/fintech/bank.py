"""What bookings lead to, each as a part of the caller's transaction. Done twice, each changes nothing the second time.

The guards are rows with keys that follow from the file. The evidence (``ledger``, ``deliveries``, ``settlements``,
``effects``) has no keys: whatever slips through a guard is there twice, and ``verify`` finds it.
"""

from __future__ import annotations

from . import rules
from .database import Database
from .rows import Entry


def record(db: Database, message_id: str, effect: str, subject: object) -> None:
    """Leave evidence that this message has had its effect."""
    db.change("INSERT INTO effects (message_id, effect, subject) VALUES (?, ?, ?)", message_id, effect, str(subject))


def next_ordinal(db: Database, account: int) -> int:
    """Which booking of its account comes next; true for as long as nobody else books on it."""
    found = db.rows("SELECT entries FROM accounts WHERE id = ?", account)
    return int(found[0][0]) + 1 if found else 1


def book(db: Database, entry: Entry, category: str, ordinal: int) -> bool:
    """Book one movement: transaction, ledger, balance, the notification of a large credit, the transfer to settle.

    Args:
        db: where.
        entry: what.
        category: what for.
        ordinal: what ``next_ordinal`` said; evidence only. Two that overlap were told the same.

    Returns:
        False when it is in the books already.
    """
    merchant = entry.merchant or None
    if merchant:
        db.change("INSERT INTO merchants (id) VALUES (?) ON CONFLICT DO NOTHING", merchant)
    new = db.change(
        "INSERT INTO transactions (id, reference, account_id, day, cents, category, merchant_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *(entry.row, entry.reference, entry.account, entry.day, entry.cents, category, merchant),
    )
    if not new:
        return False
    db.change(
        "INSERT INTO ledger (transaction_id, account_id, cents, ordinal) VALUES (?, ?, ?, ?)",
        *(entry.row, entry.account, entry.cents, ordinal),
    )
    db.change(
        "INSERT INTO accounts (id, entries, balance_cents) VALUES (?, 1, ?) ON CONFLICT (id) DO UPDATE"
        " SET entries = accounts.entries + 1, balance_cents = accounts.balance_cents + excluded.balance_cents",
        *(entry.account, entry.cents),
    )
    if rules.is_told(entry):
        _prepare_notification(db, rules.credit_notification(entry.row), entry.account)
    if rules.is_cleared(entry):
        db.change("INSERT INTO transfers (id) VALUES (?) ON CONFLICT DO NOTHING", entry.row)
    return True


def refresh(db: Database, account: int) -> None:
    """Show the customer what the ledger says. Of two at once the one that has seen more stays."""
    db.change(
        "INSERT INTO shown_balances (account_id, entries, cents)"
        " SELECT account_id, COUNT(*), SUM(cents) FROM ledger WHERE account_id = ? GROUP BY account_id"
        " ON CONFLICT (account_id) DO UPDATE SET entries = excluded.entries, cents = excluded.cents"
        " WHERE excluded.entries > shown_balances.entries",
        account,
    )


def screen(db: Database, row: int) -> None:
    """Check a booked debit for fraud; write the alerts it raises, and a notification for each."""
    ((account, day, cents),) = db.rows("SELECT account_id, day, cents FROM transactions WHERE id = ?", row)
    ((debits,),) = db.rows(
        "SELECT COUNT(*) FROM transactions WHERE account_id = ? AND day = ? AND cents < 0", account, day
    )
    for alert in rules.alerts(row=row, account=account, day=day, cents=cents, debits_that_day=debits):
        if db.change("INSERT INTO alerts (id, transaction_id) VALUES (?, ?) ON CONFLICT DO NOTHING", alert, row):
            _prepare_notification(db, rules.alert_notification(alert), account)


def alerts_of(db: Database, row: int) -> list[str]:
    """Return the alerts this debit was the one to raise."""
    return [str(alert) for (alert,) in db.rows("SELECT id FROM alerts WHERE transaction_id = ?", row)]


def is_sent(db: Database, notification: str) -> bool:
    """Whether the owner has had it."""
    return bool(db.rows("SELECT 1 FROM notifications WHERE id = ? AND sent = 1", notification))


def mark_sent(db: Database, notification: str) -> None:
    """Write down that the provider has taken a notification."""
    if db.change("UPDATE notifications SET sent = 1 WHERE id = ? AND sent = 0", notification):
        db.change("INSERT INTO deliveries (notification_id) VALUES (?)", notification)


def mark_settled(db: Database, row: int, looks: int) -> None:
    """Write down that the clearing house has settled a transfer, and at which look it said so."""
    if db.change("UPDATE transfers SET settled = 1 WHERE id = ? AND settled = 0", row):
        db.change("INSERT INTO settlements (transaction_id, looks) VALUES (?, ?)", row, looks)


def _prepare_notification(db: Database, notification: str, account: int) -> None:
    db.change("INSERT INTO notifications (id, account_id) VALUES (?, ?) ON CONFLICT DO NOTHING", notification, account)
