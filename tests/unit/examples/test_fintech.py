"""The example's own promises: the generator repeats itself, the plain loop is plain, verify finds what is wrong."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from examples.fintech import bank, database, generate, provider, rows, rules, tasks
from examples.fintech.database import Database
from examples.fintech.measure import Measures, percentile, read
from examples.fintech.plain import Expected, expect
from examples.fintech.process import ROOT
from examples.fintech.server import NoServer, find
from examples.fintech.verify import verify
from taskbridge.current import Current, running

POSTGRES = "postgresql://postgres@127.0.0.1/postgres"

#: A small export that has something for every rule.
SEED = 7

HEADER = ";".join(f'"{column}"' for column in rows.COLUMNS)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    generate.write(path, 200, accounts=20, seed=SEED)
    return path


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    yield from empty("sqlite:", tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))])
def each_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    yield from empty("sqlite:" if request.param == "sqlite" else postgres(), tmp_path)


def empty(server: str, folder: Path) -> Iterator[Database]:
    name = f"fintech_{uuid.uuid4().hex}"
    db = Database(database.fresh(server, name, folder))
    yield db
    db.close()
    database.remove(server, name)


def postgres() -> str:
    try:
        Database(POSTGRES).close()
    except database.NoDatabase as error:
        missing(f"no PostgreSQL at {POSTGRES}: {error}")
    return POSTGRES


def missing(service: str) -> None:
    """Without a service a test is skipped at home and fails in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(service)


@pytest.fixture
def redis() -> None:
    try:
        with find():
            return
    except NoServer as error:
        missing(str(error))


def do(db: Database, step: str, subject: object) -> None:
    """Commit one message's effect as its task does, without a worker."""
    with db.transaction():
        if step == "book":
            entry = rows.parse(int(str(subject)), bank.raw_row(db, int(str(subject))))
            bank.book(db, entry, rules.categorise(entry))
        elif step == "screen":
            bank.screen(db, int(str(subject)))
        else:
            bank.mark_sent(db, str(subject))
        bank.record(db, f"{step}-{subject}", step, subject)


def import_all(db: Database, path: Path) -> tuple[Expected, list[str]]:
    """Import a file; return what it must come to, and the producer's receipts."""
    expected, receipts = expect(path), []
    for page in rows.pages(path, 90):
        with db.transaction():
            bank.save_rows(db, rows.read(path, page))
            bank.record(db, f"load-{page.number}", "load", page.number)
        receipts.append(f"load-{page.number}")
    for step, subjects in (
        ("book", expected.booked),
        ("screen", expected.screened),
        ("notify", expected.notifications),
    ):
        for subject in sorted(subjects, key=str):
            do(db, step, subject)
    return expected, receipts


def test_the_generator_repeats_itself():
    """The same seed gives the same bytes, another seed others."""
    assert list(generate.generate(500, seed=3)) == list(generate.generate(500, seed=3))
    assert list(generate.generate(500, seed=3)) != list(generate.generate(500, seed=4))


def test_the_generator_writes_what_was_asked_for(export: Path):
    """So many good rows by day, one that nobody can read, and something for every rule."""
    expected = expect(export)

    assert 200 == len(expected.booked)
    assert 1 == len(expected.refused)
    assert {"amount", "velocity"} == {alert.partition(":")[0] for alert in expected.alerts}
    assert {"alert", "credit"} == {name.partition(":")[0] for name in expected.notifications}


def test_the_plain_loop_adds_up(tmp_path: Path):
    """Credits add, both kinds of debit take away, to the cent; what cannot be read is named by its line."""
    path = tmp_path / "small.csv"
    lines = (
        HEADER,
        '1;7;930101;"PRIJEM";"VKLAD";0.10;0.10;"";"";',
        '2;7;930101;"PRIJEM";"VKLAD";0.20;0.30;"";"";',
        rows.POISON,
        '3;7;930102;"VYDAJ";"VYBER";0.29;0.01;"";"";',
        '4;8;930102;"VYBER";"VYBER";5.00;-5.00;" ";"AB";"00000001"',
    )
    path.write_bytes("\r\n".join(lines).encode())

    expected = expect(path)

    assert {7: (3, Decimal("0.01")), 8: (1, Decimal("-5.00"))} == {
        number: (account.count, account.total) for number, account in expected.accounts.items()
    }
    assert {4} == expected.refused
    assert {5, 6} == expected.screened


@pytest.mark.parametrize("size", [1, 7, 400, 10_000])
def test_pages_cover_every_row_once(export: Path, size: int):
    """However the file is cut, its pages give each row once, with its line number."""
    lines = export.read_text("ascii").splitlines()

    found = [row for page in rows.pages(export, size) for row in rows.read(export, page)]

    assert list(enumerate(lines, start=1))[1:] == found


def test_another_file_is_refused(tmp_path: Path):
    """A file with other columns is not imported as if it were the bank's."""
    path = tmp_path / "other.csv"
    path.write_text("a;b\n1;2\n")

    with pytest.raises(ValueError, match="expected the columns trans_id"):
        list(rows.pages(path, 100))


@pytest.mark.parametrize("amount", ["12.3O", "12.3", "12", "-1.00", "1e2", "", "1.000", "\u0663.\u0660\u0660"])
def test_an_amount_that_is_not_exact_is_refused(amount: str):
    """Nothing is rounded or guessed."""
    with pytest.raises(ValueError, match="expected an amount"):
        rows.cents(amount)


def test_a_task_that_runs_again_has_its_effect_once(db: Database, export: Path, monkeypatch: pytest.MonkeyPatch):
    """Its message's effect is there once; its follow-ups are enqueued each time, for they may have been lost."""
    (row, text), *_ = ((row, text) for page in rows.pages(export, 400) for row, text in rows.read(export, page))
    bank.save_rows(db, [(row, text.replace("PRIJEM", "VYDAJ"))])
    enqueued: list[int] = []
    monkeypatch.setattr(tasks, "database", lambda: db)
    monkeypatch.setattr(tasks.screen, "enqueue", enqueued.append)

    for starts in (1, 2):
        with running(a_message(starts)):
            tasks.book(row)

    assert [(1,)] == db.rows("SELECT COUNT(*) FROM ledger")
    assert [(1,)] == db.rows("SELECT COUNT(*) FROM effects")
    assert [row, row] == enqueued


def a_message(starts: int) -> Current:
    return Current(
        id="m",
        task="book",
        queue="bookings",
        attempt=1,
        starts=starts,
        fencing_token=starts,
        enqueued_at_ms=0,
        first_due_ms=0,
    )


def test_a_good_import_is_exact(each_db: Database, export: Path):
    """An import that did everything once passes."""
    expected, receipts = import_all(each_db, export)

    verdict = verify(each_db, expected, receipts)

    assert verdict.good, (verdict.findings, verdict.wrong)


def test_nothing_changes_when_everything_is_done_twice(each_db: Database, export: Path):
    """Follow-ups that were enqueued twice, as messages of their own, find their work done."""
    expected, _ = import_all(each_db, export)
    each_db.change("UPDATE effects SET message_id = 'first ' || message_id")

    _, again = import_all(each_db, export)
    verdict = verify(each_db, expected, again)

    assert verdict.good, (verdict.findings, verdict.wrong)
    assert [(2,)] == each_db.rows("SELECT COUNT(*) FROM effects WHERE effect = 'book' AND subject = '2'")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM ledger WHERE transaction_id = 2", "1 lost: rows never booked"),
        ("DELETE FROM raw_rows WHERE id = 2", "1 lost: rows never saved"),
        ("DELETE FROM effects WHERE message_id = 'load-1'", "1 lost: receipts whose message never had its effect"),
        ("DELETE FROM deliveries", "lost: owners never told"),
        ("DELETE FROM alerts", "lost: alerts never raised"),
        ("DELETE FROM effects WHERE effect = 'screen'", "lost: debits never screened"),
    ],
)
def test_what_is_lost_is_found(db: Database, export: Path, damage: str, finding: str):
    """Each kind of loss is seen, counted and named."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    verdict = verify(db, expected, receipts)

    assert verdict.lost > 0
    assert not verdict.good
    assert any(finding in found for found in verdict.findings), verdict.findings


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("INSERT INTO ledger SELECT * FROM ledger WHERE transaction_id = 2", "1 done twice: transactions booked again"),
        (
            "INSERT INTO deliveries SELECT MIN(notification_id) FROM deliveries",
            "1 done twice: notifications delivered again",
        ),
        (
            "INSERT INTO effects SELECT * FROM effects WHERE message_id = 'book-2'",
            "1 done twice: messages with a second",
        ),
    ],
)
def test_what_is_done_twice_is_found(db: Database, export: Path, damage: str, finding: str):
    """Each kind of double is seen, counted and named."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    verdict = verify(db, expected, receipts)

    assert 1 == verdict.doubled
    assert not verdict.good
    assert any(finding in found for found in verdict.findings), verdict.findings


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ledger SET cents = cents + 1 WHERE transaction_id = 2",
        "UPDATE accounts SET balance_cents = balance_cents - 1 WHERE id = (SELECT MIN(id) FROM accounts)",
        "UPDATE accounts SET entries = entries + 1 WHERE id = (SELECT MIN(id) FROM accounts)",
        "INSERT INTO accounts VALUES (999999, 0, 0)",
        "INSERT INTO ledger VALUES (999999, 1, 0)",
        "INSERT INTO alerts VALUES ('amount:1', 1)",
    ],
)
def test_a_cent_is_missed(db: Database, export: Path, damage: str):
    """A single cent, entry or row too many is not exact."""
    expected, receipts = import_all(db, export)
    db.change(damage)

    assert not verify(db, expected, receipts).exact


def test_a_receipt_without_an_end_is_lost(db: Database, export: Path):
    """The producer's own list counts, whatever else is right."""
    expected, receipts = import_all(db, export)

    assert 1 == verify(db, expected, [*receipts, "never-ran"]).lost


def test_the_provider_fails_the_same_way_every_time():
    """Which attempts fail follows from name and attempt alone, and no name fails for long."""

    def fails(name: str, attempt: int) -> bool:
        try:
            provider.send(name, attempt=attempt)
        except provider.ProviderError:
            return True
        return False

    first = [fails(f"credit:{row}", 1) for row in range(2_000)]

    assert first == [fails(f"credit:{row}", 1) for row in range(2_000)]
    assert 200 < sum(first) < 400
    assert all(not all(fails(f"credit:{row}", attempt) for attempt in range(1, 10)) for row in range(2_000))


def test_measures_leave_the_greeting_out(tmp_path: Path):
    """Spans of all processes come together; one task is not counted."""
    (tmp_path / "1").write_text("waited a.hello 900.000\nwaited a.book 10.000\nran a.book 2.000\n")
    (tmp_path / "2").write_text("waited a.book 30.000\nretried a.book 4.000\nrescheduled a.book 1.000\n")

    assert Measures(queue_ms=[10, 30], run_ms=[2, 4, 1], retries=1) == read(tmp_path, leave_out="a.hello")


def test_percentiles_are_values_that_were_seen():
    """The nearest rank: no value is made up."""
    assert [50, 95, 100] == [percentile(range(100, 0, -1), percent) for percent in (50, 95, 100)]
    assert 0 == percentile([], 95)
    assert 7 == percentile([7], 50)


@pytest.mark.usefixtures("redis")
@pytest.mark.service("redis")
@pytest.mark.parametrize("backend", ["celery", "dramatiq"])
def test_the_demo_ends_well(tmp_path: Path, backend: str):
    """With a server of its own and a worker of each engine: all is done, once, to the cent; one row is dead."""
    output = tmp_path / "demo.json"
    command = [sys.executable, "-m", "examples.fintech.demo", "--rows", "300", "--backends", backend]

    done = subprocess.run(
        [*command, "--output", str(output)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=90
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    report = json.loads(output.read_text("utf-8"))
    assert report["exact"] is True
    (run,) = report["runs"]
    assert (0, 0, 1) == (run["lost"], run["doubled"], run["dead"])
    assert backend == run["backend"]
