"""Tell the story of a message: each step in its order, with its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..announcement import Announcement, announced
from ..bridge import Bridge
from ..errors import TaskbridgeError
from ..message import Message
from ..store import Record
from ..store.trail import MOST_NOTES, Note, Past
from .depths import backend_of
from .disclosure import Disclosure
from .history import Step, Story
from .lookout import worker_of
from .prospects import advice, waits
from .whereabouts import whereabouts
from .words import seen_from, span

#: An attempt ends by these.
ENDINGS = ("retried", "postponed", "parked", "lost", "returned", "dead", "dropped")


def story(bridge: Bridge, id: str, *, scan: int = 0, queues: Sequence[str] = ()) -> Story:
    """Return the story of a message; raises as ``history.why``."""
    where = whereabouts(bridge, id, scan=scan, queues=queues)
    record, message, now_ms = where.record, where.message, bridge.store.now_ms()
    past = record.past if record else None
    problems = list(where.problems)
    try:
        workers = announced(bridge.store)
    except TaskbridgeError as error:
        workers, problems = [], [*problems, f"who works is not known: {error}"]
    shown = Disclosure(bridge).of(message)
    happened = steps(record, message, past, now_ms, workers)
    waiting = waits(bridge, where, now_ms, workers)
    return Story(
        id=where.id,
        where=where,
        now_ms=now_ms,
        task=message.task if message else past.task if past else "",
        queue=record.queue if record and record.queue else message.queue if message else past.queue if past else "",
        attempt=record.attempt if record else 1,
        starts=record.starts if record else 0,
        arguments=message is not None,
        args=shown.nameless,
        kwargs=dict(shown.named),
        steps=[replace(step, words=shown.text(step.words)) for step in happened],
        forgotten=record is not None and len(record.trail) >= MOST_NOTES,
        waits=waiting,
        advice=advice(where, waiting),
        link=where.link,
        run=where.run,
        batches=record.batches if record else (),
        traceback=shown.text(record.traceback) if record else "",
        problems=problems,
    )


def steps(
    record: Record | None, message: Message | None, past: Past | None, now_ms: int, workers: Sequence[Announcement]
) -> list[Step]:
    """Return all that has happened, the first thing first."""
    found = list(_sent(message or past, now_ms))
    trail = record.trail if record else ()
    for note in trail:
        found += _noted(note, now_ms, workers)
    if record is not None:
        found += _since(record, past, now_ms, workers)
    return sorted(found, key=lambda step: step.at_ms)


def _sent(message: Message | Past | None, now_ms: int) -> Iterator[Step]:
    if message is None or not message.enqueued_at_ms:
        return
    words = "enqueued"
    if message.due_at_ms > message.enqueued_at_ms:
        words += f", to be begun {span(message.due_at_ms - message.enqueued_at_ms)} later"
    yield Step(at_ms=message.enqueued_at_ms, what="enqueued", words=words)
    if message.enqueued_at_ms < message.due_at_ms <= now_ms:
        yield Step(at_ms=message.due_at_ms, what="due", words="due")


def _noted(note: Note, now_ms: int, workers: Sequence[Announcement]) -> Iterator[Step]:
    """A line of the trail; one that ends an attempt tells when that had begun, too."""
    if note.begun_ms and note.what in ENDINGS:
        yield _begun(note.begun_ms, note.attempt, note.claim, workers)
    words = _WORDS.get(note.what, note.what)
    after = f" after {span(note.at_ms - note.begun_ms)}" if note.begun_ms else ""
    goes_on = f", goes on at {seen_from(note.due_ms, now_ms)}" if note.due_ms > note.at_ms else ""
    about = f": {note.about}" if note.about and "{about}" not in words else ""
    told = words.format(attempt=note.attempt, about=note.about or "an engine", after=after)
    yield Step(
        at_ms=note.at_ms,
        what="let on" if note.what == "let" else note.what,
        words=f"{told}{about}{goes_on}",
        backend=backend_of(note.claim) or (note.about if note.what in ("published", "adopted") else ""),
        worker=worker_of(note.claim, workers) if note.claim and note.begun_ms else "",
    )


_WORDS = {
    "published": "published to {about}",
    "locked": "waits for the lock {about}",
    "throttled": "waits for its turn at the limit {about}",
    "paused": "waits, for the {about} is paused",
    "unpaused": "let on: the {about} is resumed",
    "let": "let on: the {about} has room for it",
    "retried": "attempt {attempt} failed{after}, to be made again",
    "postponed": "asked for a later run{after}; no attempt is spent",
    "parked": "parked{after}: no worker here knows {about}",
    "released": "let out: a worker has come that knows {about}",
    "lost": "its worker died or was away{after}; it runs again",
    "returned": "given back unfinished{after} by a worker that ends",
    "adopted": "taken out of the queue of {about} by a drain",
    "replaced": "a later call took its place, and its delay began anew",
    "held": "held",
    "resumed": "let on: its run goes on",
    "replayed": "replayed: its attempts begin anew",
    "dead": "dead{after}",
    "dropped": "ended{after}",
}


def _since(record: Record, past: Past | None, now_ms: int, workers: Sequence[Announcement]) -> Iterator[Step]:
    """What happened after the last line of the trail: it was published, runs, or has ended well."""
    last = record.trail[-1] if record.trail else None
    if record.sent_ms and not record.trail:
        yield _published(record.sent_ms, record.sent_to)
    if record.state == "RUN":
        yield _begun(record.begun_ms, record.attempt, record.claim, workers)
    elif past and not (last and last.what == "dropped"):
        if past.begun_ms:
            yield _begun(past.begun_ms, record.attempt, past.claim, workers)
        took = f" in {span(past.ended_ms - past.begun_ms)}" if past.begun_ms else ""
        words = record.why or f"done{took}"
        yield Step(at_ms=past.ended_ms, what="dropped" if record.why else "done", words=words)


def _published(at_ms: int, backend: str) -> Step:
    return Step(at_ms=at_ms, what="published", words=f"published to {backend or 'an engine'}", backend=backend)


def _begun(at_ms: int, attempt: int, claim: str, workers: Sequence[Announcement]) -> Step:
    backend, worker = backend_of(claim), worker_of(claim, workers)
    by = f" by {worker}" if worker else ""
    on = f" on {backend}" if backend else ""
    return Step(at_ms=at_ms, what="begun", words=f"attempt {attempt} begun{on}{by}", backend=backend, worker=worker)
