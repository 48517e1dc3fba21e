"""Customers: ``python orders.py before 20`` takes twenty orders of one module's shop.

Without a number it takes twenty a second until it is stopped.
"""

from __future__ import annotations

import importlib
import signal
import sys
import time
from itertools import count

import books


def main(shop: str, many: int | None = None) -> None:
    """Take orders with the shop's module, each with the next number; SIGTERM ends it between two."""
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stops.append(number))
    place = importlib.import_module(shop).place
    first = len(books.read("sent"))
    for order in range(first, first + many) if many else count(first):
        if stops:
            return
        place(order, f"{order % 90 + 10}.50")
        books.write("sent", order)
        time.sleep(0 if many else 0.05)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
