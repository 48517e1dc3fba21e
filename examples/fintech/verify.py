"""Compare what is in the database with what a plain loop over the file says must be there.

Nothing here asks taskbridge: lost and doubled are counted from the bank's own tables and from the ids that the producer
has receipts for. ``python -m examples.fintech.verify FILE [IDS]`` prints the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import click

from . import audit, clearing
from .database import Database, database
from .plain import Expected, expect

#: How many faults of a bad import are shown.
SHOWN = 20

#: With so many bookings an account, or more, some must have shared the refresh of its balance.
SHARING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an import has come to.

    Args:
        lost: effects that must be there and are not, and receipts whose message never had its effect.
        doubled: effects that are there more than once.
        wrong: accounts whose count, sum, balance or shown balance differs, bookings of one account that overlapped, and
            whatever is there that must not be; empty is exact.
        findings: lost and doubled in words.
        refreshes: how often a shown balance was computed.
        closing: what was done with whole accounts.
    """

    lost: int
    doubled: int
    wrong: tuple[str, ...]
    findings: tuple[str, ...]
    refreshes: int
    closing: audit.Closing

    @property
    def faults(self) -> list[str]:
        """All that is wrong in words, cut short where it is long."""
        said = [*self.findings, *self.wrong]
        return said if len(said) <= SHOWN else [*said[:SHOWN], f"... and {len(said) - SHOWN} more"]

    @property
    def exact(self) -> bool:
        return not self.wrong

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def verify(db: Database, expected: Expected, receipts: Iterable[str]) -> Verdict:
    """Say whether every row, debit, alert, notification, transfer and account had its effect once, to the cent."""
    ((refreshes,),) = db.rows("SELECT COUNT(*) FROM effects WHERE effect = 'refresh'")
    lost = _lost(db, expected, receipts) | audit.lost(db, expected)
    doubled = _doubled(db)
    return Verdict(
        lost=sum(lost.values()),
        doubled=sum(doubled.values()),
        wrong=(
            *_wrong_accounts(db, expected),
            *_overlaps(db),
            *_unshared(expected, int(refreshes)),
            *_misread(db),
            *_strangers(db, expected),
            *audit.wrong(db, expected),
        ),
        refreshes=int(refreshes),
        closing=audit.closing_of(db),
        findings=(
            *(f"{count} lost: {what}" for what, count in lost.items() if count),
            *(f"{count} done twice: {what}" for what, count in doubled.items() if count),
        ),
    )


def _lost(db: Database, expected: Expected, receipts: Iterable[str]) -> dict[str, int]:
    return {
        "receipts whose message never had its effect": len(set(receipts) - _set(db, "SELECT message_id FROM effects")),
        "rows never saved": len((expected.booked | expected.refused.keys()) - _set(db, "SELECT id FROM raw_rows")),
        "rows never booked": len(expected.booked - _set(db, "SELECT transaction_id FROM ledger")),
        "balances never shown": len(expected.accounts.keys() - _set(db, "SELECT account_id FROM shown_balances")),
        "debits never screened": len(
            {str(row) for row in expected.screened} - _set(db, "SELECT subject FROM effects WHERE effect = 'screen'")
        ),
        "alerts never raised": len(expected.alerts - _set(db, "SELECT id FROM alerts")),
        "transfers never settled": len(expected.settled - _set(db, "SELECT transaction_id FROM settlements")),
        "owners never told": len(expected.notifications - _set(db, "SELECT notification_id FROM deliveries")),
    }


def _doubled(db: Database) -> dict[str, int]:
    """How many rows of evidence there are beyond the first of each kind."""
    surplus = {
        "messages with a second effect": "SELECT COUNT(*) - 1 FROM effects GROUP BY message_id, effect, subject",
        "transactions booked again": "SELECT COUNT(*) - 1 FROM ledger GROUP BY transaction_id",
        "transfers settled again": "SELECT COUNT(*) - 1 FROM settlements GROUP BY transaction_id",
        "notifications delivered again": "SELECT COUNT(*) - 1 FROM deliveries GROUP BY notification_id",
        **audit.SURPLUS,
    }
    return {what: sum(int(count) for (count,) in db.rows(query)) for what, query in surplus.items()}


def _wrong_accounts(db: Database, expected: Expected) -> Iterable[str]:
    """Every account, by the ledger, by the balance that was kept beside it, and by what its customer is shown."""
    should = {number: (account.count, account.total) for number, account in expected.accounts.items()}
    ledger = "SELECT account_id, COUNT(*), SUM(cents) FROM ledger GROUP BY account_id"
    balances = "SELECT id, entries, balance_cents FROM accounts"
    shown = "SELECT account_id, entries, cents FROM shown_balances"
    for source, query in (("ledger", ledger), ("balance", balances), ("shown balance", shown)):
        found = {int(number): (int(count), _money(cents)) for number, count, cents in db.rows(query)}
        for number in sorted(should.keys() | found.keys()):
            expects, has = should.get(number), found.get(number)
            if expects != has:
                yield f"account {number}: expected {_say(expects)}, its {source} has {_say(has)}"


def _overlaps(db: Database) -> Iterable[str]:
    """Bookings of one account, each of which has read how many there were before another had committed."""
    query = "SELECT account_id, ordinal, COUNT(*) FROM ledger GROUP BY account_id, ordinal HAVING COUNT(*) > 1"
    for account, ordinal, count in sorted(db.rows(query)):
        yield f"account {account}: {count} bookings overlapped, each as number {ordinal}"


def _unshared(expected: Expected, refreshes: int) -> Iterable[str]:
    """A refresh for every booking, though one would have done for several."""
    bookings = len(expected.booked)
    if refreshes >= bookings >= SHARING * max(1, len(expected.accounts)):
        yield f"{refreshes} refreshes of shown balances for {bookings} bookings: none was shared"


def _misread(db: Database) -> Iterable[str]:
    """Transfers that were taken for settled at another look than the one at which they were."""
    for row, looks in sorted(db.rows("SELECT transaction_id, looks FROM settlements")):
        if looks != clearing.looks(row):
            yield f"transfer {row}: settled at look {clearing.looks(row)}, and taken for settled at look {looks}"


def _strangers(db: Database, expected: Expected) -> Iterable[str]:
    """What is there and follows from no row of the file."""
    for what, query, allowed in (
        ("ledger entry of row", "SELECT transaction_id FROM ledger", expected.booked),
        ("settlement of row", "SELECT transaction_id FROM settlements", expected.settled),
        ("alert", "SELECT id FROM alerts", expected.alerts),
        ("notification", "SELECT id FROM notifications", expected.notifications),
    ):
        for stranger in sorted(_set(db, query) - allowed, key=str):
            yield f"unexpected {what} {stranger}"


def _set(db: Database, query: str) -> set[object]:
    return {value for (value,) in db.rows(query)}


def _money(cents: object) -> Decimal:
    return Decimal(str(cents)).scaleb(-2)


def _say(account: tuple[int, Decimal] | None) -> str:
    return f"{account[0]} entries of {account[1]} in all" if account else "none"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("ids", required=False, type=click.File())
@click.pass_context
def main(context: click.Context, file: Path, ids: Iterable[str] | None) -> None:
    """Verify the import of FILE in FINTECH_DATABASE_URL; IDS is what the producer has printed."""
    verdict = verify(database(), expect(file), [line.strip() for line in ids or ()])
    for line in verdict.faults:
        print(line)
    print(
        f"lost {verdict.lost}, done twice {verdict.doubled}, {verdict.refreshes} refreshes of shown balances,"
        f" {'exact' if verdict.exact else 'NOT exact'}"
    )
    context.exit(0 if verdict.good else 1)


if __name__ == "__main__":
    main()
