"""An import without a worker: each message's effect, committed as its task does."""

from pathlib import Path

from examples.fintech import bank, clearing, closing, raw, rows, rules
from examples.fintech.database import Database
from examples.fintech.plain import Expected, expect

#: What is done with an account by its number alone.
AN_ACCOUNT = {"refresh": bank.refresh, "reconcile": closing.reconcile, "report": closing.report}


def do(db: Database, step: str, subject: object) -> None:
    """Commit one message's effect as its task does, without a worker."""
    with db.transaction():
        if step == "book":
            entry = rows.parse(int(str(subject)), raw.row(db, int(str(subject))))
            bank.book(db, entry, rules.categorise(entry), bank.next_ordinal(db, entry.account))
        elif step == "screen":
            bank.screen(db, int(str(subject)))
        elif step == "settle":
            bank.mark_settled(db, int(str(subject)), clearing.looks(int(str(subject))))
        elif step in AN_ACCOUNT:
            AN_ACCOUNT[step](db, int(str(subject)))
        elif step == "refuse":
            closing.refuse(db, int(str(subject)), closing.unbooked(db, int(str(subject))))
        elif step == "send_reports":
            closing.note_chunk(db, 0, int(str(subject)))
        else:
            bank.mark_sent(db, str(subject))
        bank.record(db, f"{step}-{subject}", step, subject)


def import_all(db: Database, path: Path) -> tuple[Expected, list[str]]:
    """Import a file; return what it must come to, and the producer's receipts."""
    expected, receipts = expect(path), ["split", "load"]
    with db.transaction():
        raw.save_pages(db, path, rows.pages(path, 90))
        for number in range(1, raw.page_count(db) + 1):
            raw.save_rows(db, raw.read_page(db, number))
        for step in receipts:
            bank.record(db, step, step, path)
    for step, subjects in (
        ("book", expected.booked),
        ("screen", expected.screened),
        ("settle", expected.settled),
        ("notify", expected.notifications),
        ("refresh", expected.accounts),
        ("refuse", set(expected.refused.values())),
        ("reconcile", expected.posted),
        ("send_reports", [min(expected.accounts)]),
        ("report", expected.accounts),
    ):
        for subject in sorted(subjects, key=str):
            do(db, step, subject)
    return expected, receipts
