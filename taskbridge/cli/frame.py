"""One frame of ``taskbridge top``: an overview as lines of text, as many and as wide as there is room for.

Pure. What comes from messages is made safe here. A section that has nothing to tell is not there; one that is cut
says how much more there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..operations.gauges import Run
from ..operations.overview import Overview, Place, Queue, Rate, Running, Throughput, Worker
from ..operations.words import instant
from ..shown.text import safe
from .terminal import Line

#: How queues may be sorted.
SORTS = ("waiting", "oldest", "running", "rate", "dead", "name")

#: How wide the ends of a row are at least; the rest goes to the columns that have room for it.
LEAST = 40


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head, its width, and to which side it stands. ``grows`` takes a share of what is left."""

    head: str
    width: int
    right: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a head. ``share`` says how many rows it is given for each one of another's."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    share: int = 1

    @property
    def grows(self) -> int:
        """The first column that does: its head has room for how many rows are left out."""
        return next(n for n, one in enumerate(self.columns) if one.grows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How it is to be shown."""

    width: int = 80
    height: int = 24
    sort: str = "waiting"
    queues: Sequence[str] = ()
    interval_s: float = 2.0
    paused: bool = False
    live: bool = True


def frame(seen: Overview, look: Look) -> list[Line]:
    """Return the lines of a frame; the last is its status line."""
    width = max(LEAST, look.width)
    queues = _queues(seen.queues, look)
    sections = [one for one in _sections(seen, queues, look) if one.rows]
    head = [Line(cut(text, width), "reverse" if n == 0 else "") for n, text in enumerate(_head(seen, queues, look))]
    foot = [Line(cut(text, width), "reverse" if seen.old or seen.problems else "dim") for text in _status(seen, look)]
    room = look.height - len(head) - len(foot)
    body = list(_body(sections, room, width))
    body += [Line()] * (room - len(body) if look.live else 0)
    return [*head, *body, *foot][: look.height]


def cut(text: str, width: int) -> str:
    """Return text that takes no more columns, with a mark where it was cut."""
    from rich.cells import cell_len, set_cell_size  # not loaded by --help

    shown = safe(text).rstrip()
    return shown if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "~"


def fitted(text: str, column: Column, width: int) -> str:
    """Return text that takes exactly so many columns."""
    from rich.cells import cell_len

    shown = cut(text, width)
    room = " " * (width - cell_len(shown))
    return room + shown if column.right else shown + room


def _head(seen: Overview, queues: Sequence[Queue], look: Look) -> Iterator[str]:
    at = instant(seen.now_ms)[11:19]
    yield f"taskbridge top  {at} UTC  every {look.interval_s:g} s{'  PAUSED' if look.paused else ''}  {_relay(seen)}"
    kept, waiting = sum(queue.kept for queue in queues), sum(queue.waiting for queue in queues)
    dead = sum(queue.stored.dead for queue in queues)
    yield (
        f"running {number(seen.running_in_all)}  waiting {number(waiting)}  in store {number(kept)}  "
        f"dead {number(dead)}  workers {len(seen.workers)}"
    )
    yield _pace(seen.throughput)
    if paused := [f"{one.kind} {one.name}" for one in seen.pauses if not one.resumed]:
        yield f"paused: {', '.join(paused)}"
    for one in seen.migrations:
        yield f"migration {one.id}: {one.what} {one.origin} > {one.target} {one.share:g} % {one.state}  {one.why}"


def _relay(seen: Overview) -> str:
    return f"relay {seen.leader}, {seen.lag_s:.1f} s late" if seen.leader else "NO RELAY"


def _pace(found: Throughput) -> str:
    if found.state == "gathering":
        return "ended a second: gathering" if found.tasks else "ended a second: no worker tells"
    about = "~" if found.state == "estimated" else ""
    by = found.by_backend.items()
    return "ended a second: " + ("  ".join(f"{name} {about}{pace(per_s)}" for name, per_s in by) or "0")


def _status(seen: Overview, look: Look) -> list[str]:
    if seen.old:
        ages = ", ".join(
            f"{name} {'never seen' if math.isinf(age_s) else f'OLD by {age_s:.0f} s'}"
            for name, age_s in seen.old.items()
        )
        return [f"{ages}: {'; '.join(seen.problems)}"]
    if seen.problems:
        return ["; ".join(seen.problems)]
    return [f"q quit  p {'go on' if look.paused else 'pause'}  s sort by {look.sort}"] if look.live else []


def _queues(found: Iterable[Queue], look: Look) -> list[Queue]:
    keys: dict[str, Callable[[Queue], float]] = {
        "waiting": lambda one: -(one.waiting + one.kept),
        "oldest": lambda one: -max((place.oldest_s or 0 for place in one.places), default=0),
        "running": lambda one: -one.running,
        "rate": lambda one: -(one.per_s or 0),
        "dead": lambda one: -one.stored.dead,
        "name": lambda one: 0,
    }
    shown = [one for one in found if not look.queues or one.name in look.queues]
    return sorted(shown, key=lambda one: (keys[look.sort](one), one.name))


def _sections(seen: Overview, queues: Sequence[Queue], look: Look) -> Iterator[Section]:
    running = [one for one in seen.running if not look.queues or one.queue in look.queues]
    yield Section(QUEUES, [row for queue in queues for row in _queue(queue)], share=3)
    yield Section(RUNNING, [_running(one) for one in running], share=2)
    yield Section(TASKS, [_rate(one) for one in seen.throughput.rates], share=2)
    yield Section(WAITS, list(_waits(seen)))
    yield Section(RUNS, [_run(one) for one in seen.runs])
    yield Section(WORKERS, [_worker(one) for one in seen.workers])


QUEUES = (
    Column("QUEUE", 13, grows=True),
    Column("backend", 9, grows=True),
    Column("waiting", 8, right=True),
    Column("oldest", 7, right=True),
    Column("run", 4, right=True),
    Column("procs", 5, right=True),
    Column("a sec", 6, right=True),
    Column("later", 6, right=True),
    Column("held up", 7, right=True),
    Column("dead", 6, right=True),
)
RUNNING = (
    Column("RUNS FOR", 9, right=True),
    Column("task", 22, grows=True),
    Column("id", 12, grows=True),
    Column("backend", 9),
    Column("try", 3, right=True),
    Column("worker", 20, grows=True),
)
TASKS = (
    Column("TASK", 26, grows=True),
    Column("backend", 9),
    Column("a sec", 7, right=True),
    Column("failed", 7, right=True),
    Column("p50", 8, right=True),
    Column("p95", 8, right=True),
    Column("wait p95", 9, right=True),
)
WAITS = (
    Column("WAITS AT", 8),
    Column("key", 30, grows=True),
    Column("waiting", 8, right=True),
    Column("who has it, or its pace", 31, grows=True),
)
RUNS = (
    Column("RUN", 12, grows=True),
    Column("task", 22, grows=True),
    Column("state", 8),
    Column("done", 11, right=True),
    Column("of", 11, right=True),
    Column("open", 11, right=True),
)
WORKERS = (
    Column("WORKER", 24, grows=True),
    Column("backends", 16, grows=True),
    Column("procs", 5, right=True),
    Column("run", 4, right=True),
    Column("queues", 27, grows=True),
)


def _queue(queue: Queue) -> Iterator[Sequence[str]]:
    """A row for each place; what the store keeps stands in the first."""
    one = queue.stored
    held_up = one.locked + one.throttled + one.parked + one.held + one.paused
    kept = [number(one.delayed + one.ready), number(held_up), number(one.dead)]
    for n, place in enumerate(queue.places or [Place(backend="-", waiting=0)]):
        yield (
            queue.name if n == 0 else "",
            place.backend or "own",
            "?" if place.waiting is None else number(place.waiting),
            _for(place.oldest_s) if place.oldest_s else "",
            number(place.running),
            number(place.processes),
            "" if place.per_s is None else pace(place.per_s),
            *(kept if n == 0 else ("", "", "")),
        )


def _waits(seen: Overview) -> Iterator[Sequence[str]]:
    rows = [
        (lock.waiting, ("lock", lock.key, number(lock.waiting), ", ".join([*lock.holders, *lock.reserved])))
        for lock in seen.locks
    ]
    for limit in seen.limits:
        if limit.waiting:
            paced = "" if limit.per_s is None else "paused" if limit.per_s == 0 else f"{limit.per_s:.3g} a second"
            keys = f", {limit.keys} keys" if limit.keys > 1 else ""
            rows.append((limit.waiting, ("limit", limit.name, number(limit.waiting), paced + keys)))
    yield from (row for _, row in sorted(rows, key=lambda pair: -pair[0]))


def _running(one: Running) -> Sequence[str]:
    return _for(one.for_s), one.task or "?", one.id, one.backend or "own", str(one.attempt), one.worker


def _rate(one: Rate) -> Sequence[str]:
    spans = map(_ms, (one.ran_ms, one.ran_p95_ms, one.waited_p95_ms))
    return one.task, one.backend, pace(one.per_s), pace(one.failed_per_s), *spans


def _worker(one: Worker) -> Sequence[str]:
    return one.name, ",".join(one.backends), str(one.processes), str(one.running), ",".join(one.queues)


def _run(one: Run) -> Sequence[str]:
    total = "?" if one.total is None else number(one.total)
    return one.id, one.task, one.state, number(one.done), total, number(one.open)


def _body(sections: Sequence[Section], room: int, width: int) -> Iterator[Line]:
    """As many rows of each as there is room for, by their shares; each has a head and a row before any has two."""
    given = _given(sections, room)
    for section, rows in zip(sections, given, strict=True):
        if rows == 0:
            continue
        widths = _widths(section.columns, width)
        lacks = len(section.rows) - rows
        heads = [one.head for one in section.columns]
        if lacks:
            heads[section.grows] += f" +{lacks}"
        yield Line(cut(_joined(heads, section.columns, widths), width), "bold")
        yield from (Line(cut(_joined(row, section.columns, widths), width)) for row in section.rows[:rows])


def _given(sections: Sequence[Section], room: int) -> list[int]:
    given = [0] * len(sections)
    for n in range(len(sections)):
        if room >= 2:
            given[n], room = 1, room - 2
    grew = True
    while room > 0 and grew:
        grew = False
        for n, section in enumerate(sections):
            more = min(section.share, room, len(section.rows) - given[n]) if given[n] else 0
            given[n], room, grew = given[n] + more, room - more, grew or more > 0
    return given


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """What is left goes to the columns that grow, and what lacks is taken from them."""
    left = width - sum(one.width for one in columns) - (len(columns) - 1)
    growing = [n for n, one in enumerate(columns) if one.grows]
    widths = [one.width for one in columns]
    for n in growing:
        widths[n] = max(4, widths[n] + left // len(growing))
    return widths


def _joined(words: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    return " ".join(fitted(*one) for one in zip(words, columns, widths, strict=True))


def number(value: float) -> str:
    """A count in at most six letters: ``999,999``, then ``1.23M``."""
    if value < 100_000:
        return f"{value:,.0f}"
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{word}" if value < 100 * unit else f"{value / unit:.0f}{word}"
    return f"{value:.0f}"


def pace(per_s: float) -> str:
    """So many a second, in at most six letters."""
    if not per_s:
        return "0"
    return f"{per_s:.2f}" if per_s < 10 else f"{per_s:.1f}" if per_s < 1000 else number(per_s)


def _for(seconds: float) -> str:
    """How long, in at most seven letters: ``12.3 s``, ``59m 59s``, ``23h 59m``, ``9d 23h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return f"{minutes}m {int(seconds % 60):02}s"
    return f"{hours}h {minutes % 60:02}m" if days < 1 else f"{days}d {hours % 24:02}h"


def _ms(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.3g} ms" if ms else ""
    return _for(ms / 1000)
