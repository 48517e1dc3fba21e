"""The book of migrations, as a document in the store: what moves where, how far, and each step with its reason. Pure.

Instants are milliseconds of the store's clock. Read whole or not at all: a release that does not know a word of it
would move what it was not asked to.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Literal

import msgspec

from ..document import read
from ..errors import ConfigError, nearest
from ..evidence.judge import Bounds, Verdict
from ..routing.rules import Rule

#: The form of the document; one of another is refused.
FORM = 1

#: How many of a migration's last steps are kept, and how many migrations that have ended.
MOST_STEPS, MOST_ENDED = 40, 5

#: How a migration stands. ``waiting``: its share is set by hand. ``ramping``: the relay raises it. ``paused``: a ramp
#: stopped where it is. ``taken back``: its share is 0, by hand or by its evidence. The last two have ended.
State = Literal["waiting", "ramping", "paused", "taken back", "finished", "given up"]
ENDED = ("finished", "given up")

#: What the step is called by which a migration stops whose rules somebody has changed in the route table.
STOPPED = "stopped"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides did between two instants, and what was made of it."""

    since_ms: int
    until_ms: int
    verdict: Verdict


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step: when, who took it, what it was, the share since, why, and by which evidence."""

    at_ms: int
    who: str
    what: str
    share: float
    why: str = ""
    evidence: Evidence | None = None


class Ramp(msgspec.Struct, frozen=True, kw_only=True):
    """A share that rises by itself: ``at`` counts the steps that were reached, from 0; none yet is -1."""

    steps: tuple[float, ...]
    hold_ms: int
    bounds: Bounds
    at: int = -1
    since_ms: int = 0

    @property
    def next_share(self) -> float | None:
        """The share of the next step; None behind the last."""
        return self.steps[self.at + 1] if self.at + 1 < len(self.steps) else None


class Migration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A move of some tasks, or of all in some queues, from one backend to another.

    ``held`` says that the route table has its share; until then whoever sees it sets it there. ``unserved`` says that
    it goes on where no live worker is seen on the other side: the engines' own commands announce nothing.
    """

    id: str
    origin: str
    target: str
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    key: str = ""
    share: float = 0.0
    state: State = "waiting"
    held: bool = False
    unserved: bool = False
    ramp: Ramp | None = None
    steps: tuple[Step, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it is over: its tasks are free for another."""
        return self.state in ENDED

    @property
    def taking(self) -> tuple[Rule, ...]:
        """Its rules that lead to the new side."""
        matches = [{"task": task} for task in self.tasks] + [{"queue": queue} for queue in self.queues]
        return tuple(
            Rule(id=f"{self.id}.{n}", to=self.target, share=self.share, key=self.key, **match)
            for n, match in enumerate(matches, 1)
        )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Its rules in the route table: behind each that leads to the new side, one that leaves the rest to the old.

        So the old side is the same for every producer and relay, whatever backend is the default of each. One that is
        finished leaves nothing to it, and one that was given up has no rules.
        """
        if self.state == "given up":
            return ()
        if self.state == "finished":
            return self.taking
        rest = (Rule(id=f"{one.id}.rest", to=self.origin, task=one.task, queue=one.queue) for one in self.taking)
        return tuple(rule for pair in zip(self.taking, rest, strict=True) for rule in pair)

    @property
    def share_since_ms(self) -> int:
        """Since when it has its share, as far as its steps are kept."""
        steps = list(takewhile(lambda step: step.share == self.share, reversed(self.steps)))
        return steps[-1].at_ms if steps else 0

    def owns(self, rule: str) -> bool:
        """Whether a rule of the route table is called as one of its own."""
        return rule.startswith(f"{self.id}.")

    @property
    def what(self) -> str:
        """What moves, in words."""
        words = [f"task {task}" for task in self.tasks] + [f"queue {queue}" for queue in self.queues]
        return ", ".join(words)

    def stopped_by(self, why: str) -> bool:
        """Whether it stands already, for its rules were changed by hand so."""
        return self.steps[-1].what == STOPPED and self.steps[-1].why == why

    def after(self, step: Step, **changes: object) -> Migration:
        """Return it after a step, which sets its share; and its rules anew, where they were changed by hand."""
        steps = (*self.steps, step)[-MOST_STEPS:]
        by_hand = any(one.what == STOPPED for one in self.steps[-1:])
        held = self.held and step.share == self.share and not by_hand
        return msgspec.structs.replace(self, **({"share": step.share, "steps": steps, "held": held} | changes))

    def __str__(self) -> str:
        return f"{self.id}: {self.what} from {self.origin} to {self.target}"


class Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All migrations that go on, and the last that have ended; ``named`` counts all that ever began."""

    migrations: tuple[Migration, ...] = ()
    named: int = 0
    form: int = FORM

    @property
    def open(self) -> list[Migration]:
        """Those that have not ended."""
        return [one for one in self.migrations if not one.ended]

    def one(self, id: str = "") -> Migration:
        """Return a migration by its name; without, the only one that goes on.

        Raises:
            ConfigError: there is none, or there are several.
        """
        names = [one.id for one in self.migrations]
        if id:
            found = next((one for one in self.migrations if one.id == id), None)
            if found is None:
                raise ConfigError(f"no migration is called {id!r}{nearest(id, names) if names else '; there is none'}")
            return found
        if not self.open:
            raise ConfigError("no migration goes on; `taskbridge migrate start --from A --to B` begins one")
        if len(self.open) > 1:
            raise ConfigError("several migrations go on; say which by --id: " + "; ".join(map(str, self.open)))
        return self.open[0]

    def begun(self, make: Callable[[str], Migration]) -> Book:
        """Return the book with one more, made of a name that none has had."""
        ended = [one for one in self.migrations if one.ended]
        kept = [one for one in self.migrations if one not in ended[:-MOST_ENDED]]
        return Book(migrations=(*kept, make(f"m{self.named + 1}")), named=self.named + 1)

    def moved(self, migration: Migration) -> Book:
        """Return the book with a migration as it is now."""
        return Book(
            migrations=tuple(migration if one.id == migration.id else one for one in self.migrations), named=self.named
        )


EMPTY = Book()

_decoder = msgspec.json.Decoder(Book)


def encode(book: Book) -> bytes:
    """Return the book as the store keeps it."""
    return msgspec.json.encode(book)


def decode(document: bytes) -> Book:
    """Read what ``encode`` wrote; nothing is the empty book.

    Raises:
        DecodeError: a newer release wrote it in other words, or it is no book.
    """
    return read(document, _decoder, FORM, "the migrations") if document else EMPTY
