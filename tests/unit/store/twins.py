"""The store in memory and the store in Redis as one: every request goes to both, and their answers must be equal."""

from __future__ import annotations

from typing import Any

from taskbridge.errors import ClaimLost
from taskbridge.store import Record, Store

#: Answers without an order.
UNORDERED = {"take", "sweep", "overdue"}


class Twins:
    """A ``Store`` of two."""

    def __init__(self, memory: Store, redis: Store) -> None:
        self._stores = memory, redis

    def __getattr__(self, protocol: str) -> Any:
        return Both(protocol, [getattr(store, protocol) for store in self._stores])

    def now_ms(self) -> int:
        return self._stores[0].now_ms()


class Both:
    """One protocol of both."""

    def __init__(self, name: str, sides: list[Any]) -> None:
        self._name, self._sides = name, sides

    def __getattr__(self, verb: str) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            answers = [_answer(getattr(side, verb), words, more) for side in self._sides]
            memory, redis = (_told(verb, answer) for answer in answers)
            assert memory == redis, f"{self._name}.{verb}{words}: memory {memory!r}, Redis {redis!r}"
            if isinstance(answers[0], ClaimLost):
                raise answers[0]
            return answers[0]

        return call


def _answer(method: Any, words: tuple[Any, ...], more: dict[str, Any]) -> Any:
    try:
        return method(*words, **more)
    except ClaimLost as lost:
        return lost


def _told(verb: str, answer: Any) -> Any:
    """What of an answer is the same in both: not when one that waited was let on, to the millisecond."""
    if isinstance(answer, ClaimLost):
        return str(answer)
    if isinstance(answer, Record):
        found = {
            name: getattr(answer, name) for name in answer.__struct_fields__ if name not in ("at_ms", "body", "claim")
        }
        return found | {"at_ms": answer.at_ms if answer.state in ("DELAYED", "HELD", "PARKED") else 0}
    return sorted(answer, key=str) if verb in UNORDERED else answer
