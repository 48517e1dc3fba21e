"""The file as it came: its pages, its rows by line number, their accounts. Saved twice, it is all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from . import rows
from .database import Database
from .rows import Page

#: Below every account; keys of the tables have 32 bits.
LOWEST = -(2**31)


def save_pages(db: Database, path: Path, found: Iterable[Page]) -> None:
    """Write down where each page lies in the file."""
    db.change_many(
        "INSERT INTO pages (number, path, first_line, offset_bytes, lines) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        ((page.number, str(path), page.first_line, page.offset_bytes, page.lines) for page in found),
    )


def page_count(db: Database) -> int:
    """How many pages there are."""
    ((count,),) = db.rows("SELECT COUNT(*) FROM pages")
    return int(count)


def read_page(db: Database, number: int) -> Iterator[tuple[int, str]]:
    """Yield line number and text of a page's rows, from the file."""
    ((path, *place),) = db.rows("SELECT path, first_line, offset_bytes, lines FROM pages WHERE number = ?", number)
    return rows.read(Path(path), Page(number, *place))


def save_rows(db: Database, lines: Iterable[tuple[int, str]]) -> None:
    """Keep rows as they came, by line number, and say that their accounts are to be reconciled."""
    kept = [(row, rows.account_of(text), text) for row, text in lines]
    db.change_many("INSERT INTO raw_rows (id, account_id, line) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", kept)
    db.change_many(
        "INSERT INTO postings (account_id) VALUES (?) ON CONFLICT DO NOTHING",
        sorted({(account,) for _, account, _ in kept}),
    )


def row_count(db: Database) -> int:
    """How many rows are kept."""
    ((count,),) = db.rows("SELECT COUNT(*) FROM raw_rows")
    return int(count)


def row(db: Database, number: int) -> str:
    """Return a row as it came.

    Raises:
        LookupError: it was never saved.
    """
    found = db.rows("SELECT line FROM raw_rows WHERE id = ?", number)
    if not found:
        raise LookupError(f"row {number} was never saved")
    return str(found[0][0])


def accounts_after(db: Database, after: int | None, limit: int) -> list[int]:
    """Return the next accounts that the file has rows of, in their order."""
    found = db.rows(
        "SELECT account_id FROM postings WHERE account_id > ? ORDER BY account_id LIMIT ?",
        *(LOWEST if after is None else after, limit),
    )
    return [account for (account,) in found]


def rows_of(db: Database, account: int) -> list[int]:
    """Return the line numbers of an account's rows, in the file's order."""
    return [row for (row,) in db.rows("SELECT id FROM raw_rows WHERE account_id = ? ORDER BY id", account)]
