"""What a supervisor knows of its own processes, for whoever measures it.

Its main thread looks, twice a second, and any thread may read what was seen. Instants are monotonic seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence

from ..observe.facts import Facts, Group
from .keep import Keep
from .posts import Post

#: How often to look, seconds.
EVERY_S = 0.5

#: Over how long utilisation is taken, seconds.
OVER_S = 60.0


class Meter:
    """Counts what children did and why they went; ``facts`` are the latest, ``keep`` the one that serves.

    A worker that nobody measures has one too, and never has it look.
    """

    def __init__(self) -> None:
        self.facts = Facts()
        self.keep: Keep | None = None
        self._due_s = 0.0
        self._done_s = defaultdict[str, float](float)
        self._busy_s = defaultdict[str, float](float)
        self._replaced = Counter[tuple[str, str]]()
        self._seen: deque[tuple[float, Mapping[str, float]]] = deque()

    def went(self, post: Post, why: str, now_s: float) -> None:
        """A child is gone; what it did counts on."""
        self._done_s[post.group] += post.busy_s(now_s)
        self._replaced[post.group, why] += 1

    def look(self, wanted: Mapping[str, int], posts: Sequence[Post], keeps: Sequence[Keep], now_s: float) -> None:
        """Look at everything, if it is time; ``wanted`` is how many processes of each group there are to be."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        self.keep = keeps[0] if keeps else None
        self._note(posts, now_s)
        self.facts = Facts(
            groups={group: self._group(group, processes, posts, now_s) for group, processes in wanted.items()},
            replaced=dict(self._replaced),
            leads=any(keep.leads for keep in keeps),
        )

    def _note(self, posts: Sequence[Post], now_s: float) -> None:
        busy_s = self._done_s.copy()
        for post in posts:
            busy_s[post.group] += post.busy_s(now_s)
        for name, seconds in busy_s.items():  # never less than before: a child may be read while it begins anew
            self._busy_s[name] = max(self._busy_s[name], seconds)
        self._seen.append((now_s, dict(self._busy_s)))
        while self._seen[-1][0] - self._seen[0][0] > OVER_S:
            self._seen.popleft()

    def _group(self, group: str, processes: int, posts: Sequence[Post], now_s: float) -> Group:
        then_s, then = self._seen[0]
        there = [post for post in posts if post.group == group and post.pid]
        could_s = (now_s - then_s) * processes
        did_s = self._busy_s[group] - then.get(group, 0.0)
        return Group(
            wanted=processes,
            alive=len(there),
            active=sum(bool(post.slot.running()) for post in there),
            busy_s=self._busy_s[group],
            utilisation=min(1.0, did_s / could_s) if could_s else 0.0,
        )
