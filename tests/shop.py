"""Tasks of a shop that real workers run while a dashboard is looked at: they take a moment, and some of them fail."""

from __future__ import annotations

import random
import time

from taskbridge import Backoff, Chunk, Lock, RateLimit, chunked, cron, every, ids, task


@task(name="shop.payments.book", queue="payments", lock=Lock("account:{account}"), retry=Backoff(max_retries=3, base=1))
def book(account: int, amount: str, card_number: str = "") -> None:
    """Book a payment; the bank does not always answer."""
    time.sleep(random.uniform(0.01, 0.06))
    if random.random() < 0.02:
        raise ConnectionError("the bank does not answer")


@task(name="shop.payments.settle", queue="payments", retry=Backoff(max_retries=0))
def settle(account: int, day: str) -> None:
    """Settle a day; one in a few is not as it should be."""
    time.sleep(random.uniform(0.05, 0.2))
    if account % 4 == 0:
        raise ValueError(f"account {account}: 12.50 EUR are missing on {day}")


@task(name="shop.mails.send", queue="mails", rate_limit=RateLimit("5/s", key="{provider}", name="mails"))
def send(user_id: int, provider: str) -> None:
    """Send a mail, no more than a provider takes."""
    time.sleep(random.uniform(0.02, 0.05))


@task(name="shop.reports.render", queue="reports")
def render(user_id: int) -> None:
    """Render one report."""
    time.sleep(random.uniform(0.005, 0.02))


@task(name="shop.reports.monthly", queue="reports")
@chunked(over=ids(0, 200_000), size=250, pause=0.5, max_backlog=2_000)
def monthly(chunk: Chunk[int]) -> None:
    """Have a part of the reports rendered."""
    render.enqueue_many({"user_id": id} for id in list(chunk)[::10])


@task(name="shop.stock.count", queue="stock", lock=Lock("shelf:{shelf}"))
def count(shelf: int) -> None:
    """Take a while."""
    time.sleep(25)


@task(name="shop.stock.nightly", queue="stock", schedule=cron("30 2 * * *", tz="Europe/Berlin"))
def nightly() -> None:
    """Every night."""


@task(name="shop.stock.look", queue="stock", schedule=every(seconds=20))
def look() -> None:
    """Every twenty seconds."""
    time.sleep(0.1)
