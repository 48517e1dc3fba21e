"""The shop on taskbridge: the same names in the same queue, so that what plain Celery sends is run, too."""

from __future__ import annotations

from decimal import Decimal

import books

from taskbridge import Backoff, task


@task(name="shop.charge", queue="shop", retry=Backoff(max_retries=5))
def charge(order: int, amount: Decimal) -> None:
    """Take the money."""
    books.write("charged", order)


@task(name="shop.confirm", queue="shop")
def confirm(order: int) -> None:
    """Tell the customer."""
    books.write("confirmed", order)


def place(order: int, amount: str) -> None:
    """Take an order."""
    charge.enqueue(order, Decimal(amount))
    confirm.enqueue(order)
