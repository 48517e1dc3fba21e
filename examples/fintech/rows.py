"""The bank's export: its columns, its lines, and what one line says.

A row is named by its line number in the file, from 1 (the header). Money is whole cents, signed: credit +, debit -.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path

COLUMNS = ["trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol", "bank", "account"]

#: How the bank names the direction of money. Source: the columns of the PKDD'99 "Berka" set.
SIGNS = {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1}

#: A row that no bank would send: its amount ends in the letter O. It fails whoever reads it, however often.
POISON = '999999999;1;931231;"PRIJEM";"VKLAD";12.3O;12.30;"";"";'

_AMOUNT = re.compile(r"([0-9]+)\.([0-9][0-9])")


class NotAnExport(ValueError):
    """The file's first line does not name the bank's columns."""


@dataclass(frozen=True, slots=True)
class Page:
    """A run of lines in the file, found again by its offset."""

    number: int
    first_line: int
    offset_bytes: int
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One movement of money on one account."""

    row: int
    reference: str
    account: int
    day: str
    cents: int
    operation: str
    symbol: str
    merchant: str


def pages(path: Path, size: int) -> Iterator[Page]:
    """Cut the file into pages of so many lines, in one pass and constant memory.

    Raises:
        NotAnExport: the header is not the bank's.
    """
    check_header(path)
    with path.open("rb") as file:
        file.readline()
        first, offset = 2, file.tell()
        for number in count(1):
            lines = sum(1 for _ in islice(file, size))
            if not lines:
                return
            yield Page(number, first, offset, lines)
            first, offset = first + lines, file.tell()


def check_header(path: Path) -> None:
    """Refuse a file that is not the bank's.

    Raises:
        NotAnExport: the columns that are expected, and those that are there.
    """
    with path.open("rb") as file:
        header = next(csv.reader([_text(file.readline())], delimiter=";"), [])
    if header != COLUMNS:
        raise NotAnExport(f"{path}: expected the columns {';'.join(COLUMNS)}, got {';'.join(header)}")


def read(path: Path, page: Page) -> Iterator[tuple[int, str]]:
    """Yield line number and text of a page's rows; an empty line is no row."""
    with path.open("rb") as file:
        file.seek(page.offset_bytes)
        for line in range(page.first_line, page.first_line + page.lines):
            if text := _text(file.readline()):
                yield line, text


def parse(row: int, text: str) -> Entry:
    """Return what a row says.

    Raises:
        ValueError: it is not a row of the export.
    """
    fields = _fields(text)
    if len(fields) != len(COLUMNS):
        raise ValueError(f"line {row}: expected {len(COLUMNS)} fields, got {len(fields)}")
    reference, account, date, kind, operation, amount, _, symbol, bank, partner = fields
    if kind not in SIGNS:
        raise ValueError(f"line {row}: expected one of {', '.join(SIGNS)}, got {kind!r}")
    return Entry(
        row=row,
        reference=reference,
        account=int(account),
        day=datetime.strptime(date, "%y%m%d").date().isoformat(),  # noqa: DTZ007 - a bank's day has no zone
        cents=SIGNS[kind] * cents(amount),
        operation=operation,
        symbol=symbol.strip(),
        merchant=f"{bank}:{partner}" if bank and partner else "",
    )


def account_of(text: str) -> int:
    """Return whose row it is, the same as ``parse`` has it; 0 where that cannot be read."""
    try:
        return int(_fields(text)[1])
    except (csv.Error, ValueError, IndexError):
        return 0


def cents(amount: str) -> int:
    """Return ``"12.30"`` as 1230.

    Raises:
        ValueError: anything but digits, a point and two digits.
    """
    match = _AMOUNT.fullmatch(amount)
    if not match:
        raise ValueError(f"expected an amount such as 12.30, got {amount!r}")
    return int(match[1]) * 100 + int(match[2])


def _fields(text: str) -> list[str]:
    return next(csv.reader([text], delimiter=";"), [])


def _text(line: bytes) -> str:
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
