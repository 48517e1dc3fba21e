"""What the tasks promise: an effect once, a lock that is the row's, a provider that is asked as it wants to be."""

from pathlib import Path
from typing import Any

import pytest

from examples.fintech import bank, clearing, provider, raw, rows, rules, tasks
from examples.fintech.database import Database
from taskbridge import Reschedule, Throttled
from taskbridge.current import running

from .messages import a_message
from .providers import answers


def test_a_task_that_runs_again_has_its_effect_once(db: Database, export: Path, monkeypatch: pytest.MonkeyPatch):
    """Its message's effect is there once; its follow-ups are enqueued each time, for they may have been lost."""
    (row, text), *_ = ((row, text) for page in rows.pages(export, 400) for row, text in rows.read(export, page))
    raw.save_rows(db, [(row, text.replace("PRIJEM", "VYDAJ"))])
    account = rows.account_of(text)
    enqueued: list[int] = []
    refreshed: list[int] = []
    monkeypatch.setattr(tasks, "database", lambda: db)
    monkeypatch.setattr(tasks.screen, "enqueue", enqueued.append)
    monkeypatch.setattr(tasks.refresh, "enqueue", refreshed.append)

    for starts in (1, 2):
        with running(a_message(starts)):
            tasks.book(row, account)

    assert [(1,)] == db.rows("SELECT COUNT(*) FROM ledger")
    assert [(1,)] == db.rows("SELECT COUNT(*) FROM effects")
    assert [row, row] == enqueued
    assert [account, account] == refreshed


def test_a_row_is_booked_under_its_own_account_lock_only(db: Database, export: Path, monkeypatch: pytest.MonkeyPatch):
    """A message that locks another account than the row's is refused, and nothing is booked."""
    (row, text), *_ = ((row, text) for page in rows.pages(export, 400) for row, text in rows.read(export, page))
    raw.save_rows(db, [(row, text)])
    monkeypatch.setattr(tasks, "database", lambda: db)

    with running(a_message(1)), pytest.raises(ValueError, match="is locked for it"):
        tasks.book(row, rows.account_of(text) + 1)

    assert [(0,)] == db.rows("SELECT COUNT(*) FROM ledger")


def test_a_busy_provider_stops_its_limit(db: Database, monkeypatch: pytest.MonkeyPatch):
    """The first 429 is told to the limit with the provider's own wait; the next start is sent and delivered once."""
    name = next(name for name in map("credit:{}".format, range(2_000)) if answers(name, "mail", 1, 1) == "429")
    db.change("INSERT INTO notifications (id, account_id) VALUES (?, 1)", name)
    monkeypatch.setattr(tasks, "database", lambda: db)

    with running(a_message(1)), pytest.raises(Throttled) as said:
        tasks.notify(name, "mail")
    with running(a_message(2, attempt=attempt_that_works(name))):
        tasks.notify(name, "mail")

    assert provider.BUSY_S == said.value.after
    assert [(name,)] == db.rows("SELECT notification_id FROM deliveries")


def attempt_that_works(name: str) -> int:
    return next(attempt for attempt in range(1, 20) if answers(name, "mail", attempt, 2) == "200")


def test_a_transfer_is_looked_after_until_it_is_settled(db: Database, monkeypatch: pytest.MonkeyPatch):
    """Each run hands the next one what it has learnt; the look at which it is settled is written down, once."""
    row = next(row for row in range(2, 100) if clearing.looks(row) == 3)
    db.change("INSERT INTO transfers (id) VALUES (?)", row)
    monkeypatch.setattr(tasks, "database", lambda: db)
    learnt: list[dict[str, Any]] = [{}]

    for starts in (1, 2, 3):
        with running(a_message(starts)), pytest.raises(Reschedule) as asked:
            tasks.settle(row, **learnt[-1])
        learnt.append(asked.value.kwargs)
    for starts in (4, 5):
        with running(a_message(starts)):
            tasks.settle(row, **learnt[-1])

    assert [{"reference": clearing.submit(row), "look": look} for look in (1, 2, 3)] == learnt[1:]
    assert [(row, 3)] == db.rows("SELECT * FROM settlements")
    assert [("m", "settle", str(row))] == db.rows("SELECT * FROM effects")


def test_bookings_that_overlap_have_the_same_number(each_db: Database):
    """Each has read the account before the other had committed; one that comes after the commit has the next."""
    entry = rows.parse(2, '1;7;930101;"PRIJEM";"VKLAD";0.10;0.10;"";"";')

    first, second = bank.next_ordinal(each_db, 7), bank.next_ordinal(each_db, 7)
    with each_db.transaction():
        bank.book(each_db, entry, "deposit", first)

    assert (1, 1, 2) == (first, second, bank.next_ordinal(each_db, 7))


def test_an_older_look_never_overwrites_a_newer_one(each_db: Database):
    """Of two refreshes at once, the one that has seen more of the ledger stays, whoever comes last."""
    each_db.change("INSERT INTO ledger VALUES (2, 7, 100, 1)")
    each_db.change("INSERT INTO shown_balances VALUES (7, 2, 300)")

    bank.refresh(each_db, 7)
    older = each_db.rows("SELECT entries, cents FROM shown_balances")
    each_db.change("INSERT INTO ledger VALUES (3, 7, 200, 2)")
    each_db.change("INSERT INTO ledger VALUES (4, 7, 50, 3)")
    bank.refresh(each_db, 7)

    assert [(2, 300)] == older
    assert [(3, 350)] == each_db.rows("SELECT entries, cents FROM shown_balances")


def test_each_provider_carries_its_share():
    """Which one follows from the name alone, and none is idle."""
    chosen = [rules.provider_of(f"credit:{row}") for row in range(900)]

    assert chosen == [rules.provider_of(f"credit:{row}") for row in range(900)]
    assert set(rules.PROVIDERS) == set(chosen)
    assert all(250 < chosen.count(name) < 350 for name in rules.PROVIDERS)


def test_the_provider_fails_the_same_way_every_time():
    """What it says follows from name, attempt and start; no name fails for long; only first calls are too many."""

    def all_said(attempt: int, start: int) -> list[str]:
        return [answers(f"credit:{row}", "sms", attempt, start) for row in range(2_000)]

    first, second = all_said(1, 1), all_said(1, 2)
    later = zip(*(all_said(attempt, attempt + 1) for attempt in range(1, 10)), strict=True)

    assert first == all_said(1, 1)
    assert 200 < second.count("503") < 400
    assert 20 < first.count("429") < 80
    assert 0 == second.count("429")
    assert all("200" in said for said in later)
