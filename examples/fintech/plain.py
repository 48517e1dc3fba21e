"""What an import must come to, by one plain loop over the same file: no queue, no database, no code of the import.

Amounts are ``Decimal`` here and cents there, so a slip in one shows. ``python -m examples.fintech.plain FILE`` prints
the sums. Only the limits of the rules are shared.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from . import rules


@dataclass(slots=True)
class Account:
    """How many movements an account has, what came in and what went out."""

    count: int = 0
    credits: Decimal = Decimal("0.00")
    debits: Decimal = Decimal("0.00")

    @property
    def total(self) -> Decimal:
        """What they come to."""
        return self.credits + self.debits


@dataclass(slots=True)
class Expected:
    """What must be there in the end. Rows are line numbers; the names are those of ``rules``.

    ``refused`` has the account of each row that nobody can book: 0 where that is not legible either.
    """

    accounts: dict[int, Account] = field(default_factory=dict)
    booked: set[int] = field(default_factory=set)
    refused: dict[int, int] = field(default_factory=dict)
    screened: set[int] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)
    notifications: set[str] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)

    @property
    def posted(self) -> set[int]:
        """The accounts that any row is about, also one that cannot be booked."""
        return self.accounts.keys() | set(self.refused.values())


def expect(path: Path) -> Expected:
    """Read the file once and say what an import of it must come to."""
    expected = Expected()
    debits: Counter[str] = Counter()
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file, delimiter=";")
        for record in reader:
            row = reader.line_num
            try:
                number, day, signed = _say(record)
            except (ValueError, TypeError, KeyError, InvalidOperation):
                expected.refused[row] = _account_of(record)
                continue
            account = expected.accounts.setdefault(number, Account())
            account.count += 1
            if signed > 0:
                account.credits += signed
            else:
                account.debits += signed
            expected.booked.add(row)
            _apply_rules(expected, debits, row, f"{number}:{day}", signed)
            if record["operation"] == rules.CLEARED_OPERATION and -signed * 100 >= rules.CLEARED_CENTS:
                expected.settled.add(row)
    return expected


def _say(record: dict[str, str]) -> tuple[int, date, Decimal]:
    amount = Decimal(record["amount"])
    if amount.as_tuple().exponent != -2:
        raise ValueError("an amount has two decimals")
    day = datetime.strptime(record["date"], "%y%m%d").date()  # noqa: DTZ007 - a bank's day has no zone
    return int(record["account_id"]), day, {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1}[record["type"]] * amount


def _account_of(record: dict[str, str]) -> int:
    try:
        return int(record["account_id"])
    except (ValueError, TypeError, KeyError):
        return 0


def _apply_rules(expected: Expected, debits: Counter[str], row: int, account_day: str, signed: Decimal) -> None:
    if signed * 100 >= rules.LARGE_CREDIT_CENTS:
        expected.notifications.add(f"credit:{row}")
    if signed >= 0:
        return
    expected.screened.add(row)
    debits[account_day] += 1
    raised = {f"amount:{row}"} if -signed * 100 >= rules.SUSPICIOUS_CENTS else set()
    if debits[account_day] == rules.SUSPICIOUS_DEBITS_A_DAY:
        raised.add(f"velocity:{account_day}")
    expected.alerts |= raised
    expected.notifications |= {f"alert:{alert}" for alert in raised}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(file: Path) -> None:
    """Print every account's count and exact sum."""
    for number, account in sorted(expect(file).accounts.items()):
        print(f"{number};{account.count};{account.total}")


if __name__ == "__main__":
    main()
