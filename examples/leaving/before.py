"""The shop on plain Celery."""

from __future__ import annotations

import os

import books
from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.task_default_queue = "shop"


@app.task(name="shop.charge", max_retries=5)
def charge(order: int, amount: str) -> None:
    """Take the money."""
    books.write("charged", order)


@app.task(name="shop.confirm")
def confirm(order: int) -> None:
    """Tell the customer."""
    books.write("confirmed", order)


def place(order: int, amount: str) -> None:
    """Take an order."""
    charge.delay(order, amount)
    confirm.delay(order)
