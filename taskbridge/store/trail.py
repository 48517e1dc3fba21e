"""What the store keeps of a message's past: its trail, a line for each thing that happened beyond start and success.

Instants are unix milliseconds of the store's clock, 0 where there is none.
"""

from __future__ import annotations

import msgspec

from ..errors import DecodeError
from ..message import Message, decode

#: How many lines are kept, the last ones, and how much of what each is about, characters.
MOST_NOTES, LONGEST_NOTE = 30, 160


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One line: ``what`` happened in a word, and what it was ``about``.

    published (a backend); locked, throttled (a key); let (lock or limit); paused, unpaused (what is); retried,
    postponed (why); parked, released (what is waited for); lost, returned, replaced, resumed, replayed (nothing);
    adopted (a backend); held, dead, dropped (why). ``due_ms`` is when it may go on, ``begun_ms`` and ``attempt`` are of
    the attempt that ended there; ``claim`` is that attempt's, or of who had the copy.
    """

    at_ms: int
    what: str
    about: str = ""
    due_ms: int = 0
    begun_ms: int = 0
    attempt: int = 0
    claim: str = ""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a marker tells of one that has ended. ``task`` is empty where its worker was of an older release.

    ``begun_ms`` is 0 where it was never begun; ``claim`` is the one that finished last.
    """

    ended_ms: int
    begun_ms: int = 0
    enqueued_at_ms: int = 0
    due_at_ms: int = 0
    queue: str = ""
    task: str = ""
    claim: str = ""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A lock or a limit that a message waits for: since when, and how many ``ahead`` of it wait there.

    Of a lock: who holds it, and for whom it is reserved. Of a limit: how long one token takes to come (us), how many
    may start at once, how many it takes itself, whether it is paused, and when the next start is due at its pace.
    """

    kind: str
    key: str
    since_ms: int
    ahead: int
    holders: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    name: str = ""
    interval_us: int = 0
    burst: int = 0
    weight: int = 1
    paused: bool = False
    due_ms: int = 0

    @property
    def left_ms(self) -> int:
        """How long the tokens take to come of those that are ahead, if each takes as many, and of itself."""
        return round(max(0, (self.ahead + 1) * self.weight - self.burst) * self.interval_us / 1000)


def facts_of(message: Message) -> str:
    """Return what a marker tells of a message, as scripts are handed it."""
    return f"{message.enqueued_at_ms} {message.due_at_ms}\n{message.queue} {message.task}"


def past_of(times: str, of: str, claim: str) -> Past | None:
    """Read "ended begun enqueued due" and "queue task"; None of a marker that an older release wrote.

    All but the first are how long before that; ``-`` is never.
    """
    if not times:
        return None
    ended, *before = times.split(" ")
    begun_ms, enqueued_ms, due_ms = (0 if ago == "-" else int(ended) - int(ago) for ago in before)
    queue, _, task = of.partition(" ")
    return Past(
        ended_ms=int(ended),
        begun_ms=begun_ms,
        enqueued_at_ms=enqueued_ms,
        due_at_ms=due_ms,
        queue=queue,
        task=task,
        claim=claim,
    )


def trail_of(text: str) -> tuple[Note, ...]:
    """Read lines of "when what due begun attempt claim about"."""
    return tuple(_note(*line.split(" ", 6)) for line in text.split("\n")) if text else ()


def past_in(body: bytes, queue: str) -> Past:
    """Return what a body tells of a message that has ended."""
    try:
        message = decode(body)
    except DecodeError:
        return Past(ended_ms=0)
    return Past(
        ended_ms=0,
        enqueued_at_ms=message.enqueued_at_ms,
        due_at_ms=message.due_at_ms,
        queue=queue,
        task=message.task,
    )


def _note(at_ms: str, what: str, due_ms: str, begun_ms: str, attempt: str, claim: str, about: str) -> Note:
    return Note(
        at_ms=int(at_ms),
        what=what,
        about=about,
        due_ms=int(due_ms),
        begun_ms=int(begun_ms),
        attempt=int(attempt),
        claim="" if claim == "-" else claim,
    )
