"""Shadows in Redis: a hash per pair, a hash of counts per shadow, and a list of the last disagreements."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Argument, Server
from ..keys import Keys
from ..shadows import KEPT, MOST_PAIRS, PAIR_MS, TALLY_MS, Disagreement, Side, Tally, Told
from .claims import PACKAGE

#: How many words a disagreement has.
WIDTH = 7

#: Stands for no digest, and for no outcome or backend, so that each word is one.
NONE = "-"


class RedisShadows:
    """Pairs, told side by side."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._prefix = keys.shadow
        self._begin = Script(server, PACKAGE, "begin_shadow", [keys.shadow])
        self._tell = Script(server, PACKAGE, "tell_shadow", [keys.shadow])

    def begin(self, rule: str, task: str, id: str) -> bool:
        return bool(self._begin(*_head(rule, task, id)))

    def tell(self, rule: str, task: str, id: str, side: Side, told: Told) -> str:
        return str(self._tell(*_head(rule, task, id), side, _written(told), KEPT), "ascii")

    def read(self, limit: int) -> tuple[list[Tally], list[Disagreement]]:
        names = [rule.decode() for rule in self._server.call("ZREVRANGE", f"{self._prefix}tallies", 0, -1)]
        asked = [("HGETALL", f"{self._prefix}tally:{name}") for name in names]
        answers = self._server.pipeline([("LRANGE", f"{self._prefix}last", -WIDTH * max(limit, 1), -1), *asked])
        last, tallies = answers[0], [_tally(name, flat) for name, flat in zip(names, answers[1:], strict=True) if flat]
        found = [_disagreement(last[i : i + WIDTH]) for i in range(0, len(last), WIDTH)]
        return tallies, found[::-1][:limit]


def _head(rule: str, task: str, id: str) -> tuple[Argument, ...]:
    return rule, task, id, PAIR_MS, MOST_PAIRS, TALLY_MS


def _written(told: Told) -> str:
    words = (told.outcome, told.digest or NONE, told.ran_us, told.unsent, told.backend or NONE, told.why)
    return " ".join(map(str, words))


def _told(text: bytes) -> Told:
    outcome, digest, ran_us, unsent, backend, why = text.decode().split(" ", 5)
    digest, backend = ("" if word == NONE else word for word in (digest, backend))
    return Told(outcome=outcome, backend=backend, digest=digest, ran_us=int(ran_us), unsent=int(unsent), why=why)


def _tally(rule: str, flat: list[bytes]) -> Tally:
    words = {word.decode(): value for word, value in zip(flat[::2], flat[1::2], strict=True)}
    counts = {word: int(words[word]) for word in Tally.__struct_fields__ if word in words and word != "task"}
    return Tally(rule=rule, task=words["task"].decode(), **counts)


def _disagreement(words: list[bytes]) -> Disagreement:
    at_ms, rule, task, id, by, original, copy = words
    return Disagreement(
        rule=rule.decode(),
        task=task.decode(),
        id=id.decode(),
        by=by.decode(),
        original=_told(original),
        copy=_told(copy),
        at_ms=int(at_ms),
    )
