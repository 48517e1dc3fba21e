"""An import without a worker: each message's effect, committed as its task does."""

from pathlib import Path

from examples.fintech import bank, clearing, rows, rules
from examples.fintech.database import Database
from examples.fintech.plain import Expected, expect


def do(db: Database, step: str, subject: object) -> None:
    """Commit one message's effect as its task does, without a worker."""
    with db.transaction():
        if step == "book":
            entry = rows.parse(int(str(subject)), bank.raw_row(db, int(str(subject))))
            bank.book(db, entry, rules.categorise(entry), bank.next_ordinal(db, entry.account))
        elif step == "screen":
            bank.screen(db, int(str(subject)))
        elif step == "settle":
            bank.mark_settled(db, int(str(subject)), clearing.looks(int(str(subject))))
        elif step == "refresh":
            bank.refresh(db, int(str(subject)))
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
        ("settle", expected.settled),
        ("notify", expected.notifications),
        ("refresh", expected.accounts),
    ):
        for subject in sorted(subjects, key=str):
            do(db, step, subject)
    return expected, receipts
