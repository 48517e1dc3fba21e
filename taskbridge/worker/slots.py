"""A page of shared memory: what each child runs, readable however busy the child is.

A child writes the claim before ``begin`` is sent and clears it after ``finish`` was answered; the supervisor renews
what it reads there, and settles it when the child is dead. A cell is written between an odd and an even number, so
that a torn one is recognised: its claim was not sent yet. While a task with a hard timeout runs, its deadline stands
here, and what missing it leads to. Besides, a child says how long it had nothing to do, and why it goes. Instants are
monotonic seconds, one clock per machine.

Numbers are written through a memoryview, which stores eight aligned bytes at once. ``struct`` fills them with zeros
first, and a reader of the other process sees those.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from ..config import MAX_PROCESSES
from ..policies.timeout import Overdue

#: A cell in words of eight bytes: version, when begun, whether without the ledger, bytes of the text, text ("claim id";
#: both are bounded, see message.MAX_ID_BYTES).
_VERSION, _SINCE, _UNRECORDED, _LENGTH, _TEXT = range(5)
_CELL_WORDS = 54
_TEXT_BYTES = (_CELL_WORDS - _TEXT) * 8

#: After two cells, for finish of one message and begin of the next travel together.
_AFTER = 2 * _CELL_WORDS
_LIFE, _EMPTIED, _SETTLED, _IDLE, _IDLE_SINCE, _LEAVES, _PAUSED, _RECORDS, _HELD = range(_AFTER, _AFTER + 9)

#: The deadline of what runs (0 is none), bytes of the text, text (an ``Overdue``; its own texts are cut to fit).
_DEADLINE, _OVERDUE_LENGTH, _OVERDUE = range(_AFTER + 9, _AFTER + 12)
_OVERDUE_WORDS = 90
_CUT = 200
SLOT_SIZE = (_OVERDUE + _OVERDUE_WORDS) * 8

#: Why a child goes by itself, by number; the first is that it does not.
LEAVES = ("", "max_tasks", "max_memory")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Overdue)


@dataclass(frozen=True, slots=True)
class Running:
    """What a cell says. The store has no claim of what is ``unrecorded``."""

    id: str
    claim: str
    since_s: float
    unrecorded: bool = False

    @property
    def tag(self) -> str:
        """Which delivery of its worker it is."""
        return self.claim.rpartition(":")[2]

    @property
    def backend(self) -> str:
        """Which backend it came from."""
        return self.claim.split(":")[1]


class Slot:
    """One child's part of the page."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._bytes = memoryview(memory)[number * SLOT_SIZE : (number + 1) * SLOT_SIZE]
        self._counts = self._bytes.cast("Q")
        self._instants = self._bytes.cast("d")
        self._said: Overdue | None = None

    def write(self, cell: int, id: str, claim: str, now_s: float, *, unrecorded: bool = False) -> None:
        """Say what is about to be begun, or run without the ledger."""
        text = f"{claim} {id}".encode()[:_TEXT_BYTES]
        at = cell * _CELL_WORDS
        self._counts[at + _VERSION] += 1
        self._instants[at + _SINCE] = now_s
        self._counts[at + _UNRECORDED] = unrecorded
        self._counts[at + _LENGTH] = len(text)
        self._bytes[(at + _TEXT) * 8 : (at + _TEXT) * 8 + len(text)] = text
        self._counts[at + _VERSION] += 1

    def clear(self, cell: int, now_s: float) -> None:
        """Say that it is settled. Life comes first: who sees the cell empty must not take the child for deaf."""
        self.alive(now_s)
        self._counts[_SETTLED] += 1
        self._counts[cell * _CELL_WORDS + _LENGTH] = 0

    def limit(self, deadline_s: float, overdue: Overdue) -> None:
        """Say until when the task that runs may take, and what it leads to when it takes longer."""
        if overdue is not self._said:
            self._say(overdue)
        self._instants[_DEADLINE] = deadline_s

    def unlimit(self) -> None:
        """Say that it has left."""
        self._instants[_DEADLINE] = 0.0

    @property
    def deadline_s(self) -> float:
        """Until when the task that runs may take; 0 without a limit."""
        return self._instants[_DEADLINE]

    @property
    def overdue(self) -> Overdue | None:
        """What the deadline that stands leads to. Read when the child is dead."""
        if not self.deadline_s:
            return None
        return _decoder.decode(self._bytes[_OVERDUE * 8 : _OVERDUE * 8 + self._counts[_OVERDUE_LENGTH]])

    def running(self) -> list[Running]:
        """Return the claims that stand here."""
        return [found for cell in (0, 1) if (found := self._read(cell))]

    def alive(self, now_s: float) -> None:
        """Say that the broker was asked and answered, or that something was settled."""
        self._instants[_LIFE] = now_s

    @property
    def last_life_s(self) -> float:
        """When the broker last answered the child, or the child last settled something."""
        return self._instants[_LIFE]

    @property
    def settled(self) -> int:
        """How much the child has settled."""
        return self._counts[_SETTLED]

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Have the child begin nothing without the ledger meanwhile: what it has not begun is being given back."""
        self._counts[_HELD] = True
        try:
            yield
        finally:
            self._counts[_HELD] = False

    @property
    def held(self) -> bool:
        """Whether it is not to begin such a one now."""
        return bool(self._counts[_HELD])

    def empty_hand(self) -> None:
        """Tell the child that what it has not begun was given back for it."""
        self._counts[_EMPTIED] += 1

    @property
    def emptied(self) -> int:
        """How often that was told."""
        return self._counts[_EMPTIED]

    @property
    def paused(self) -> int:
        """A number that stands for the queues that are paused; 0 for none. Who sees another one asks which they are."""
        return self._counts[_PAUSED]

    def pause(self, number: int) -> None:
        """Tell the child that other queues are paused."""
        self._counts[_PAUSED] = number

    @property
    def records(self) -> bool:
        """Whether the child is to record every message, of tasks with ``ledger=False``, too."""
        return bool(self._counts[_RECORDS])

    def record(self, *, all: bool) -> None:
        """Tell the child so, or that it need not."""
        self._counts[_RECORDS] = all

    def rest(self, now_s: float) -> None:
        """Say that there is nothing to do."""
        self._instants[_IDLE_SINCE] = now_s

    def rested(self, now_s: float) -> None:
        """Say that there may be something again."""
        self._instants[_IDLE] += now_s - self._instants[_IDLE_SINCE]
        self._instants[_IDLE_SINCE] = 0.0

    def idle_s(self, now_s: float) -> float:
        """How long it had nothing to do until now, seconds; read while it begins anew, a little too long."""
        since_s = self._instants[_IDLE_SINCE]
        return self._instants[_IDLE] + (now_s - since_s if since_s else 0.0)

    def leave(self, why: str) -> None:
        """Say why the child is about to go, a word of ``LEAVES``."""
        self._counts[_LEAVES] = LEAVES.index(why)

    @property
    def leaves(self) -> str:
        """Why it goes, or went; empty when it did not say so."""
        return LEAVES[self._counts[_LEAVES]]

    def reset(self, now_s: float) -> None:
        """Make the slot fit for a new child."""
        self._bytes[:] = bytes(SLOT_SIZE)
        self._said = None
        self.alive(now_s)

    def _say(self, overdue: Overdue) -> None:
        short = {name: _cut(getattr(overdue, name)) for name in ("task", "queue", "why")}
        text = _encoder.encode(msgspec.structs.replace(overdue, **short))
        self._counts[_OVERDUE_LENGTH] = len(text)
        self._bytes[_OVERDUE * 8 : _OVERDUE * 8 + len(text)] = text
        self._said = overdue

    def _read(self, cell: int) -> Running | None:
        at = cell * _CELL_WORDS
        version, since_s, length = self._counts[at], self._instants[at + _SINCE], self._counts[at + _LENGTH]
        unrecorded = bool(self._counts[at + _UNRECORDED])
        text = bytes(self._bytes[(at + _TEXT) * 8 : (at + _TEXT) * 8 + length])
        if version % 2 or not length or self._counts[at + _VERSION] != version:
            return None
        claim, _, id = text.decode(errors="replace").partition(" ")
        return Running(id, claim, since_s, unrecorded)


def _cut(text: str) -> str:
    return text.encode()[:_CUT].decode(errors="ignore")


def slots_for(processes: int) -> int:
    """Return how many slots a worker of so many processes has: it may be asked for more while it runs."""
    return max(processes, MAX_PROCESSES)


def shared_memory(fd: int, slots: int) -> mmap.mmap:
    """Map the page of an open file for so many slots; those that nobody uses take no memory."""
    return mmap.mmap(fd, slots * SLOT_SIZE)
