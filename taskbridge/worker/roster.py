"""The posts of a worker: so many of each group as it was started with, or as operators asked for since.

A post that is one too many is vacated when its child has finished, and may serve any group again. None is given up, for
what measures a worker knows each by its number. Instants are monotonic seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from ..orders import Orders, called
from .options import Group
from .posts import Post
from .slots import Slot

log = logging.getLogger("taskbridge.worker")


class Roster:
    """``posts`` are all that there are, ``wanted`` how many of each group there are to be.

    Args:
        groups: as the worker was started.
        slot: returns the slot of a number.
        most: how many slots there are.
    """

    def __init__(self, groups: Sequence[Group], slot: Callable[[int], Slot], most: int) -> None:
        self._started = {group.name: group.processes for group in groups}
        self._slot = slot
        self._most = most
        self.wanted = dict.fromkeys(self._started, 0)
        self.posts: list[Post] = []
        for group, processes in self._started.items():
            self._grow(group, processes)

    def obey(self, orders: Orders, workers: Collection[str], now_s: float) -> None:
        """Have as many of each group as is asked of a worker of these names, or as it was started with."""
        for group, started in self._started.items():
            asked = orders.size(group, workers)
            self._resize(group, started if asked is None else asked, now_s)

    def _resize(self, group: str, processes: int, now_s: float) -> None:
        before = self.wanted[group]
        if processes < before:
            self._shrink(group, processes, now_s)
        elif processes > before:
            self._grow(group, processes)
        if self.wanted[group] != before:
            log.info("the group %s has %d processes now, %d before", called(group), self.wanted[group], before)

    def _grow(self, group: str, processes: int) -> None:
        """Want more: at posts of its own that have not been vacated yet, at vacant ones, at new ones."""
        spare = [post for post in self.posts if not post.wanted and (post.group == group or not post.taken)]
        spare.sort(key=lambda post: (post.group != group, not post.taken, post.number))
        while self.wanted[group] < processes and (spare or len(self.posts) < self._most):
            post = spare.pop(0) if spare else self._added()
            post.group, post.wanted = group, True
            self.wanted[group] += 1
        if self.wanted[group] < processes:
            log.error("the group %s cannot have %d processes: a worker has %d", called(group), processes, self._most)

    def _added(self) -> Post:
        post = Post(len(self.posts), self._slot(len(self.posts)))
        self.posts.append(post)
        return post

    def _shrink(self, group: str, processes: int, now_s: float) -> None:
        """Want fewer: the vacant go first, then those that have nothing to do, then the newest."""
        there = [post for post in self.posts if post.wanted and post.group == group]
        there.sort(key=lambda post: (post.taken, bool(post.slot.running()), -post.number))
        for post in there[: self.wanted[group] - processes]:
            post.dismiss(now_s)
        self.wanted[group] = processes
