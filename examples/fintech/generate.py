"""Write an export as the bank would: ``python -m examples.fintech.generate FILE``. The same seed, the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import click

from .rows import COLUMNS, POISON

ROWS = 4_000
ACCOUNTS = 300
SEED = 1993
FIRST_DAY = date(1993, 1, 1)
MOST_DAYS = 317
ROWS_A_DAY = 12

#: type, operation, symbol, smallest and largest amount in cents, and how many of a hundred rows are so.
Kind = tuple[str, str, str, int, int, int]
KINDS: tuple[Kind, ...] = (
    ("PRIJEM", "VKLAD", "", 20_000, 5_000_000, 27),
    ("PRIJEM", "", "UROK", 400, 40_000, 20),
    ("PRIJEM", "PREVOD Z UCTU", "DUCHOD", 300_000, 3_600_000, 10),
    ("VYDAJ", "VYBER", "", 10_000, 3_000_000, 21),
    ("VYDAJ", "VYBER", "SLUZBY", 1_460, 3_000, 8),
    ("VYDAJ", "PREVOD NA UCET", "SIPO", 50_000, 1_200_000, 8),
    ("VYDAJ", "PREVOD NA UCET", "POJISTNE", 10_000, 400_000, 3),
    ("VYDAJ", "PREVOD NA UCET", " ", 20_000, 700_000, 2),
    ("VYBER", "VYBER", "", 50_000, 2_800_000, 1),
)

BANKS = ("AB", "CD", "EF", "GH", "KL")

#: Of a hundred debits, so many are the first of several on the same day.
SPREE_PERCENT = 3


def generate(rows: int = ROWS, *, accounts: int = ACCOUNTS, seed: int = SEED) -> Iterator[str]:
    """Yield the lines of an export: header, ``rows`` rows by day, and the poison row in their middle."""
    chance = random.Random(seed)
    references = chance.sample(range(1, rows * 60 + 60), rows)
    days = max(1, min(MOST_DAYS, rows // ROWS_A_DAY))
    balances: dict[int, int] = {}
    yield ";".join(f'"{column}"' for column in COLUMNS)
    for number, (account, kind) in enumerate(_movements(chance, rows, accounts)):
        if number == rows // 2:
            yield POISON
        direction, operation, symbol, lowest, highest, _ = kind
        amount = _amount(chance, lowest, highest)
        balances[account] = balances.get(account, 0) + (amount if direction == "PRIJEM" else -amount)
        day = FIRST_DAY + timedelta(days=number * days // rows)
        partner = f'"{chance.choice(BANKS)}";"{account * 7919:08d}"' if "PREVOD" in operation else '"";'
        yield (
            f'{references[number]};{account};{day:%y%m%d};"{direction}";"{operation}";'
            f'{_decimal(amount)};{_decimal(balances[account])};"{symbol}";{partner}'
        )


def write(path: Path, rows: int = ROWS, *, accounts: int = ACCOUNTS, seed: int = SEED) -> None:
    """Write a generated export to a file, with the bank's line ends."""
    with path.open("w", encoding="ascii", newline="\r\n") as file:
        file.writelines(f"{line}\n" for line in generate(rows, accounts=accounts, seed=seed))


def _movements(chance: random.Random, rows: int, accounts: int) -> Iterator[tuple[int, Kind]]:
    weights = [kind[-1] for kind in KINDS]
    left = rows
    while left:
        account = chance.randint(1, accounts)
        kind = chance.choices(KINDS, weights)[0]
        spree = kind[0] != "PRIJEM" and chance.randrange(100) < SPREE_PERCENT
        for _ in range(min(left, chance.randint(3, 5) if spree else 1)):
            yield account, kind
            left -= 1


def _amount(chance: random.Random, lowest: int, highest: int) -> int:
    """Small amounts are common and large ones rare."""
    return lowest + int((highest - lowest) * chance.random() ** 3)


def _decimal(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rows", default=ROWS, show_default=True, type=click.IntRange(1))
@click.option("--accounts", default=ACCOUNTS, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=SEED, show_default=True)
def main(file: Path, rows: int, accounts: int, seed: int) -> None:
    """Write an export of bank transactions to FILE."""
    write(file, rows, accounts=accounts, seed=seed)


if __name__ == "__main__":
    main()
