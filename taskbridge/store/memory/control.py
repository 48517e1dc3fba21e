"""What operators do, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from .. import LONG_WINDOW_MS
from ..control import ENDED_MS, MOST_PAUSES, Halts, Pause
from .pauses import Paused
from .records import Records


class MemoryControl:
    """The lists are those of ``Pauses``; claims put in and take out."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._pauses = records.pauses
        self._ended: dict[tuple[str, str], int] = {}
        self._recorded_until_ms = 0

    def pause(self, kind: str, name: str, *, who: str, why: str) -> str:
        with self._records.lock:
            subject = f"{kind} {name}"
            found = self._pauses.said.get(subject)
            if found and not found.resumed:
                return "paused"
            if found is None and len(self._pauses.said) >= MOST_PAUSES:
                return "full"
            self._pauses.said[subject] = Paused(at_ms=self._records.now_ms(), who=_line(who), why=_line(why))
            return "ok"

    def resume(self, kind: str, name: str) -> int:
        with self._records.lock:
            found = self._pauses.said.get(f"{kind} {name}")
            if found is None or found.resumed:
                return -1
            waiting = len(self._pauses.waiting[f"{kind} {name}"])
            found.resumed = True
            if not waiting:
                del self._pauses.said[f"{kind} {name}"]
            return waiting

    def let_on(self, limit: int) -> tuple[int, int]:
        with self._records.lock:
            return self._pauses.let_on(limit)

    def pauses(self) -> list[Pause]:
        with self._records.lock:
            return [self._pause(subject) for subject in sorted(self._pauses.said)]

    def cancel(self, id: str, why: str, *, kill: bool = False) -> str:
        records = self._records
        with records.lock:
            entry, now_ms = records.read(id), records.now_ms()
            was = "code" if entry.hold else entry.state or "unknown"
            if was in {"code", "DONE", "DEAD"}:
                return was
            given = was == "OUT" or (was in {"READY", "DELAYED"} and entry.taken)
            if given and entry.foreign:
                return "foreign"
            if was == "RUN":
                entry.cancel = why
                self._ended = {one: at_ms for one, at_ms in self._ended.items() if now_ms - at_ms < ENDED_MS}
                self._ended |= {(id, entry.claim): now_ms} if kill else {}
                return was
            records.settle_done(entry, why=why)
            records.read(id).at_ms = now_ms + LONG_WINDOW_MS  # its copy may lie in a queue for long
            return was

    def record_all(self, for_ms: int) -> None:
        with self._records.lock:
            until_ms = max(self._recorded_until_ms, self._records.now_ms() + for_ms)
            self._recorded_until_ms = until_ms if for_ms else 0

    def halts(self) -> Halts:
        with self._records.lock:
            now_ms = self._records.now_ms()
            paused = sorted(subject for subject, said in self._pauses.said.items() if not said.resumed)
            return Halts(
                queues=_names("queue ", paused),
                ends=tuple(one for one, at_ms in self._ended.items() if now_ms - at_ms <= ENDED_MS),
                tasks=_names("task ", paused),
                since_ms=max((self._pauses.said[one].at_ms for one in paused if one.startswith("queue ")), default=0),
                records=now_ms < self._recorded_until_ms,
            )

    def _pause(self, subject: str) -> Pause:
        kind, _, name = subject.partition(" ")
        found, waiting = self._pauses.said[subject], len(self._pauses.waiting[subject])
        said = {name: getattr(found, name) for name in ("at_ms", "who", "why", "resumed")}
        return Pause(kind=kind, name=name, waiting=waiting, **said)


def _names(kind: str, subjects: Sequence[str]) -> tuple[str, ...]:
    return tuple(one.removeprefix(kind) for one in subjects if one.startswith(kind))


def _line(text: str) -> str:
    return " ".join(text.split())
