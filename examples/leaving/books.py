"""The shop's books: a file of order numbers each, for what was sent, charged and confirmed.

``python books.py`` compares them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

FOLDER = Path(os.environ["SHOP_BOOKS"])


def write(book: str, order: int) -> None:
    """Append a number; a short write to a file opened for appending is never torn."""
    file = os.open(FOLDER / book, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(file, f"{order}\n".encode())
    os.close(file)


def read(book: str) -> Counter[str]:
    """Return how often each number stands there."""
    path = FOLDER / book
    return Counter(path.read_text("ascii").split() if path.exists() else [])


def compare() -> bool:
    """Print what is missing and what was done twice; whether nothing is."""
    sent, good = read("sent"), True
    print(f"{len(sent):,} orders")
    for book in ("charged", "confirmed"):
        done = read(book)
        missing, twice = len(sent.keys() - done.keys()), sum(many > 1 for many in done.values())
        print(f"{book} {len(done):,}: missing {missing}, twice {twice}")
        good = good and not missing and not twice
    return good


if __name__ == "__main__":
    sys.exit(0 if compare() else 1)
