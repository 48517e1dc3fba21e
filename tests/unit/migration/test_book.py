"""The book of migrations: what is written is read, and nothing else."""

from __future__ import annotations

import pytest

from taskbridge.errors import ConfigError, DecodeError
from taskbridge.migration.book import EMPTY, MOST_ENDED, MOST_STEPS, Book, Migration, Step, decode, encode
from taskbridge.routing import Rule

from .conftest import a_migration, a_ramp, evidence


def ended(id: str) -> Migration:
    return a_migration(id=id, state="finished")


def test_written_book_is_read():
    """With its ramp and the evidence of each step; nothing is the empty book."""
    step = Step(at_ms=5, who="ann", what="raised", share=5.0, why="no worse", evidence=evidence("unsure", "too few"))
    book = Book(migrations=(a_migration(ramp=a_ramp(), steps=(step,), held=True, share=5.0),), named=3)

    assert book == decode(encode(book))
    assert EMPTY == decode(b"")


@pytest.mark.parametrize("document", [b"[]", b"{", b'{"form":2}', b'{"x":1}', b'{"migrations":[{"id":"m1"}]}', b"\xff"])
def test_book_of_a_newer_release_is_refused(document: bytes):
    """Whatever word of it is not known."""
    with pytest.raises(DecodeError, match="the migrations cannot be read by this release"):
        decode(document)


def test_document_is_as_it_was():
    """A release reads what the one before it has written."""
    document = encode(Book(migrations=(a_migration(),), named=1))

    assert document == (
        b'{"migrations":[{"id":"m1","origin":"celery","target":"dramatiq","tasks":["bank.*"],"queues":[],"key":"",'
        b'"share":0.0,"state":"waiting","held":false,"unserved":false,"ramp":null,'
        b'"steps":[{"at_ms":1,"who":"ann","what":"started","share":0.0}]}],"named":1,"form":1}'
    )


def test_rules_are_of_its_tasks_or_queues():
    """One each, under its name, with its share and key; behind it, one that leaves the rest where it is."""
    tasks = a_migration(tasks=("bank.pay", "mail.*"), key="{user_id}", share=5.0)
    queues = a_migration(id="m2", tasks=(), queues=("mail",))

    assert (
        Rule(id="m1.1", to="dramatiq", task="bank.pay", share=5.0, key="{user_id}"),
        Rule(id="m1.1.rest", to="celery", task="bank.pay"),
        Rule(id="m1.2", to="dramatiq", task="mail.*", share=5.0, key="{user_id}"),
        Rule(id="m1.2.rest", to="celery", task="mail.*"),
    ) == tasks.rules
    assert (
        Rule(id="m2.1", to="dramatiq", queue="mail", share=0.0),
        Rule(id="m2.1.rest", to="celery", queue="mail"),
    ) == queues.rules


def test_rules_of_what_has_ended():
    """What is finished is on the new side whole; what was given up has none."""
    assert (Rule(id="m1.1", to="dramatiq", task="bank.*", share=100.0),) == a_migration(
        state="finished", share=100.0
    ).rules
    assert () == a_migration(state="given up").rules


def test_step_that_moves_the_share_is_not_held_yet():
    """Until the routes have it; one that leaves the share leaves that, too."""
    held = a_migration(share=5.0, held=True)

    assert not held.after(Step(at_ms=2, who="ann", what="shared", share=6.0)).held
    assert held.after(Step(at_ms=2, who="ann", what="paused", share=5.0)).held
    assert not a_migration(share=5.0).after(Step(at_ms=2, who="ann", what="paused", share=5.0)).held


def test_last_steps_are_kept():
    """A migration may take many."""
    moved = a_migration()

    for n in range(MOST_STEPS + 3):
        moved = moved.after(Step(at_ms=n, who="ann", what="shared", share=float(n)))

    assert [float(n) for n in range(3, MOST_STEPS + 3)] == [step.share for step in moved.steps]


def test_names_are_given_once():
    """Also those of migrations that are forgotten; the last that have ended are kept, and all that go on."""
    book = Book(migrations=(a_migration(id="m1"), *(ended(f"m{n}") for n in range(2, 10))), named=9)

    book = book.begun(lambda id: a_migration(id=id))

    assert ["m1", *(f"m{n}" for n in range(10 - MOST_ENDED, 10)), "m10"] == [one.id for one in book.migrations]
    assert 10 == book.named


def test_the_only_one_that_goes_on_needs_no_name():
    """Of several one must be named; of none, and of an unknown name, it is said what to do."""
    book = Book(migrations=(ended("m1"), a_migration(id="m2")))

    assert ("m2", "m2", "m1") == (book.one().id, book.one("m2").id, book.one("m1").id)
    with pytest.raises(ConfigError, match=r"no migration is called 'm3'; known are m1, m2"):
        book.one("m3")
    with pytest.raises(ConfigError, match=r"no migration is called 'm3'; there is none"):
        EMPTY.one("m3")
    with pytest.raises(ConfigError, match=r"no migration goes on; `taskbridge migrate start"):
        Book(migrations=(ended("m1"),)).one()
    with pytest.raises(ConfigError, match=r"several .* by --id: m2: task bank\.\* from celery to dramatiq; m3"):
        Book(migrations=(a_migration(id="m2"), a_migration(id="m3"))).one()


def test_share_stands_since_the_step_that_set_it():
    """Steps that leave it where it is do not count; one that comes back to it does."""
    migration, told = a_migration(), []
    for at_ms, what, share in ((10, "shared", 5.0), (20, "paused", 5.0), (30, "shared", 9.0), (40, "shared", 5.0)):
        migration = migration.after(Step(at_ms=at_ms, who="ann", what=what, share=share))
        told.append(migration.share_since_ms)

    assert [10, 10, 30, 40] == told
