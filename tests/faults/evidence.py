"""What the tasks of a fault test wrote down, and what it comes to: lost, repeated, doubled.

Nothing here asks taskbridge what it did. A number is lost when its ``enqueue`` returned and it never came to an end;
repeated for each start beyond its first; doubled for each effect beyond its first.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ..servers import Progress


@dataclass(slots=True)
class Tally:
    """What the evidence says of one run; ``more`` is what else the case counts."""

    sent: int
    lost: int
    repeated: int
    doubled: int
    seconds: float
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = {**asdict(self), **self.more}
        return ", ".join(f"{name} {value}" for name, value in figures.items() if name != "more")


class Evidence:
    """What the tasks wrote down, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts: dict[int, list[float]] = {}
        self.ends: dict[int, list[float]] = {}
        self.fails: dict[int, list[float]] = {}
        self.others: dict[str, set[int]] = {}
        self._read = 0
        self._lock, self._progress = threading.Lock(), Progress()
        with closing(sqlite3.connect(folder / "effects.sqlite3")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE effects (n INTEGER NOT NULL)")
        (folder / "lines").touch()

    def look(self) -> Self:
        """Read what is new."""
        with self._lock, (self.folder / "lines").open("rb") as lines:
            lines.seek(self._read)
            new = lines.read()
            new = new[: new.rfind(b"\n") + 1]
            self._read += len(new)
            for line in new.splitlines():
                word, n, at = line.split()
                told = {b"start": self.starts, b"done": self.ends, b"fail": self.fails}.get(word)
                if told is None:
                    self.others.setdefault(word.decode(), set()).add(int(n))
                else:
                    told.setdefault(int(n), []).append(float(at))
            self._progress.say(lambda: f"{len(self.starts):,} begun, {len(self.ends):,} ended in {self.folder.parent}")
        return self

    def let_go(self, *numbers: int) -> None:
        """Have those that are ``held`` come to their end."""
        for n in numbers:
            (self.folder / f"go-{n}").touch()

    def ended(self) -> set[int]:
        """The numbers that came to an end."""
        return set(self.look().ends)

    def effects(self) -> Counter[int]:
        """How often each number had its effect."""
        with closing(sqlite3.connect(self.folder / "effects.sqlite3", timeout=30)) as database:
            return Counter(dict(database.execute("SELECT n, count(*) FROM effects GROUP BY n")))

    def tally(self, sent: Iterable[int], seconds: float, with_effect: Iterable[int] = (), **more: Any) -> Tally:
        """Count. ``with_effect`` are those whose end is their effect, not their last line."""
        effects, ended, sent, inboxed = self.effects(), self.ended(), set(sent), set(with_effect)
        missing = {n for n in sent if (n not in effects if n in inboxed else n not in ended)}
        return Tally(
            sent=len(sent),
            lost=len(missing),
            repeated=sum(len(starts) - 1 for starts in self.look().starts.values()),
            doubled=sum(count - 1 for count in effects.values()),
            seconds=round(seconds, 1),
            more=more,
        )
