"""What operators do, in Redis: a hash of what is paused, and a sorted set per such thing of what waits for it."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from ..control import ENDED_MS, MOST_PAUSES, Halts, Pause
from ..keys import Keys
from .claims import PACKAGE


class RedisControl:
    """The scripts of claims put in and take out; these say what is paused."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._pause = Script(server, PACKAGE, "pause", [keys.paused])
        self._resume = Script(server, PACKAGE, "resume", keys.record)
        self._let_on = Script(server, PACKAGE, "let_on", keys.record)
        self._cancel = Script(server, PACKAGE, "cancel", [*keys.record, keys.ended])
        self._record_all = Script(server, PACKAGE, "record_all", [keys.record_all])
        self._halts = Script(server, PACKAGE, "halts", [keys.paused, keys.ended, keys.record_all])

    def pause(self, kind: str, name: str, *, who: str, why: str) -> str:
        return str(self._pause(f"{kind} {name}", _line(who), _line(why), MOST_PAUSES), "ascii")

    def resume(self, kind: str, name: str) -> int:
        return int(self._resume(f"{kind} {name}"))

    def let_on(self, limit: int) -> tuple[int, int]:
        on, left = self._let_on(limit)
        return int(on), int(left)

    def pauses(self) -> list[Pause]:
        flat = self._server.call("HGETALL", self._keys.paused)
        said = {flat[i].decode(): flat[i + 1].decode(errors="replace") for i in range(0, len(flat), 2)}
        counts = (
            self._server.pipeline([("ZCARD", f"{self._keys.paused}:{subject}") for subject in said]) if said else []
        )
        found = [_pause(subject, text, n) for (subject, text), n in zip(said.items(), counts, strict=True)]
        return sorted(found, key=lambda one: (one.kind, one.name))

    def cancel(self, id: str, why: str, *, kill: bool = False) -> str:
        return str(self._cancel(id, why, int(kill), ENDED_MS), "ascii")

    def record_all(self, for_ms: int) -> None:
        self._record_all(for_ms)

    def halts(self) -> Halts:
        queues, tasks, ended, records, since_ms = self._halts(ENDED_MS)
        claims = (member.decode().partition(" ") for member in ended)
        return Halts(
            queues=tuple(sorted(queue.decode() for queue in queues)),
            ends=tuple((id, claim) for claim, _, id in claims),
            tasks=tuple(sorted(task.decode() for task in tasks)),
            since_ms=int(since_ms),
            records=bool(records),
        )


def _line(text: str) -> str:
    return " ".join(text.split())


def _pause(subject: str, text: str, waiting: int) -> Pause:
    kind, _, name = subject.partition(" ")
    state, at_ms, who, why = text.split("\n", 3)
    resumed = state == "resumed"
    return Pause(kind=kind, name=name, at_ms=int(at_ms), who=who, why=why, waiting=int(waiting), resumed=resumed)
