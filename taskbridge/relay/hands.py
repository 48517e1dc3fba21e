"""Hand over to several backends side by side: a broker that does not answer holds up no other, nor the relay.

With one backend there is nothing to hold up, and no thread. What a hand has not done in time it goes on with; what
else is due for its backend meanwhile waits for it, up to so much, and beyond that stays leased and comes again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import TaskbridgeError
from ..message import Message


@dataclass(slots=True, kw_only=True, eq=False)
class Load:
    """What one backend is handed at a time, and what became of it.

    ``parts`` are handed over in this order, each with whether it has waited already; ``fresh`` are the ids of those
    that the store has made. ``copies`` are those of shadows, by backend. ``full`` is what waits for room at a full
    broker, in parts, too; ``refused`` how much of that it was asked to take, and ``why`` it did not; ``leased_until_s``
    says until when that is ours.
    """

    backend: str
    leased_until_s: float
    parts: list[tuple[list[Message], bool]] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    copies: list[dict[str, list[Message]]] = field(default_factory=list)
    published: list[Message] = field(default_factory=list)
    full: list[tuple[list[Message], bool]] = field(default_factory=list)
    refused: int = 0
    why: str = ""
    problems: list[TaskbridgeError] = field(default_factory=list)
    fault: BaseException | None = None

    @property
    def ids(self) -> list[str]:
        """Of what is to be handed over."""
        return [message.id for messages, _ in self.parts for message in messages]


#: What is due for a backend while so many messages wait for its hand stays leased.
MOST_WAITING = 5_000


class Hands:
    """One for each backend that there was something for.

    Args:
        hand_over: hands a load over, and notes in it what became of that.
        patience_s: how long to wait for those that are slow.
    """

    def __init__(self, hand_over: Callable[[Load], None], patience_s: float) -> None:
        self._hand_over = hand_over
        self._patience_s = patience_s
        self._known: set[str] = set()
        self._busy: dict[str, Load] = {}
        self._next: dict[str, deque[Load]] = {}
        self._done: list[Load] = []
        self._changed = threading.Condition()

    @property
    def several(self) -> bool:
        """Whether there was something for more than one."""
        return len(self._known) > 1

    def through(self) -> Sequence[Load]:
        """Return those of earlier calls that are through, each once."""
        with self._changed:
            done, self._done = self._done, []
            return done

    def work(self, loads: Iterable[Load]) -> Sequence[Load]:
        """Hand these over; returns those that are through in time."""
        loads = list(loads)
        self._known.update(load.backend for load in loads)
        if not self.several:
            for load in loads:
                self._do(load)
            return loads
        with self._changed:
            for load in loads:
                if load.backend in self._busy:
                    self._wait(load)
                else:
                    self._begin(load)
            ours = [load for load in loads if self._busy.get(load.backend) is load]
            self._changed.wait_for(lambda: all(load in self._done for load in ours), self._patience_s)
        return self.through()

    def _wait(self, load: Load) -> None:
        """Have it handed over next, but for what its hand has already."""
        ahead = self._next.setdefault(load.backend, deque())
        known = {id for one in (self._busy[load.backend], *ahead) for id in one.ids}
        load.parts = [([one for one in some if one.id not in known], front) for some, front in load.parts]
        if load.ids and sum(len(one.ids) for one in ahead) < MOST_WAITING:
            ahead.append(load)

    def _begin(self, load: Load) -> None:
        thread = threading.Thread(target=self._run, args=(load,), name=f"to {load.backend}", daemon=True)
        try:
            thread.start()
        except RuntimeError as fault:  # this machine has no thread left for us
            load.fault = fault
            self._done.append(load)
        else:
            self._busy[load.backend] = load

    def _run(self, load: Load) -> None:
        following: Load | None = load
        while following is not None:
            self._do(following)
            following = self._is_through(following)

    def _is_through(self, load: Load) -> Load | None:
        """Note that, and return what its hand does next."""
        with self._changed:
            del self._busy[load.backend]
            self._done.append(load)
            self._changed.notify_all()
            if ahead := self._next.get(load.backend):
                self._busy[load.backend] = ahead.popleft()
            return self._busy.get(load.backend)

    def _do(self, load: Load) -> None:
        try:
            self._hand_over(load)
        except BaseException as fault:  # raised again by who collects it
            load.fault = fault
