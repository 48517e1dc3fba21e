"""Which generation serves, which comes next, and how older ones make room. Instants are monotonic seconds.

The first that cannot serve ends the worker. A later one leaves things as they are and says why: the old code goes on.
A template that died is succeeded in the same way as one whose code is old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from .generation import Generation
from .keep import Keep
from .posts import Post

log = logging.getLogger("taskbridge.worker")

#: How long one child is waited for before the next makes room, seconds: a long task holds up no reload.
TURN_S = 1.0


class Succession:
    """The generations of one worker; ``names`` are those under which it was ever announced.

    Args:
        posts: where their children stand.
        start: starts a template.
        patience_s: how long to wait before a template that died is replaced again.
    """

    def __init__(self, posts: Sequence[Post], start: Callable[[], Generation], patience_s: float) -> None:
        self._posts = posts
        self._start = start
        self._patience_s = patience_s
        self._asked = True
        self._due_s = 0.0
        self._serving: Generation | None = None
        self._next: Generation | None = None
        self._older: list[Generation] = []
        self._leaving: list[threading.Thread] = []
        self.names: list[str] = []

    @property
    def generations(self) -> list[Generation]:
        """All whose templates or children are there."""
        return [one for one in (*self._older, self._serving, self._next) if one is not None]

    @property
    def keeps(self) -> list[Keep]:
        """Their keeps, of the one that serves first."""
        known = (self._serving, self._next, *self._older)
        return [one.keep for one in known if one is not None and one.keep is not None]

    @property
    def serving(self) -> Keep | None:
        """The keep of the one that serves."""
        return self._serving.keep if self._serving is not None else None

    def ask(self) -> None:
        """Ask for a new generation; from a signal's handler, or from any thread."""
        self._asked = True

    def step(self, now_s: float) -> None:
        """Begin what is asked for; put in charge what can serve; see off what has no children left.

        Raises:
            TaskbridgeError: the first generation cannot serve.
        """
        if self._asked:
            self._begin()
        elif self._next is not None:
            self._look_at_the_next(self._next, now_s)
        elif self._serving is not None and self._serving.ended and now_s >= self._due_s:
            log.error("the template process died; starting another")
            self._next = self._start()
        for old in list(self._older):
            if not any(post.taken for post in old.posts):
                self._older.remove(old)
                self._leaving.append(old.leave())

    def order(self, post: Post, now_s: float) -> None:
        """Ask for a child of the generation that serves."""
        if self._serving is not None and not self._serving.ended:
            self._serving.order(post, now_s)

    def make_room(self, now_s: float) -> None:
        """Have children of older generations end, in each group one after another."""
        if self._serving is None or self._serving.ended:
            return
        for group in dict.fromkeys(post.group for post in self._posts):
            posts = [post for post in self._posts if post.group == group and (post.wanted or post.taken)]
            if any(post.changes_hands(now_s, TURN_S) for post in posts):
                continue
            for post in posts:
                if post.pid and post.generation is not self._serving and not post.retiring:
                    post.retire(now_s)
                    break

    def give_up_the_next(self) -> None:
        """There is to be none."""
        if self._next is not None:
            self._next.kill()
            self._leaving.append(self._next.leave())
            self._next = None

    def kill(self) -> None:
        """End all templates, and their children with them."""
        for generation in self.generations:
            generation.kill()

    def end(self) -> None:
        """End the templates, which have no children left; returns when all is done that is to be done."""
        self.give_up_the_next()
        for thread in [*self._leaving, *(generation.leave() for generation in self.generations)]:
            thread.join()

    def _begin(self) -> None:
        self._asked = False
        if self._serving is not None:
            log.info("reloading: a new template imports the tasks; the old code goes on meanwhile")
        self.give_up_the_next()
        self._next = self._start()

    def _look_at_the_next(self, new: Generation, now_s: float) -> None:
        if new.fit:
            self._put_in_charge(new)
            return
        error = new.look()
        if error is None:
            return
        self.give_up_the_next()
        if self._serving is None:
            raise error
        if self._serving.ended:
            self._due_s = now_s + self._patience_s
            log.error("no new template, trying again in %.0f s: %s", self._patience_s, error)
        else:
            log.error("not reloaded, the old code goes on: %s", error)

    def _put_in_charge(self, new: Generation) -> None:
        assert new.keep is not None
        new.keep.start()
        self.names.append(new.keep.name)
        if self._serving is not None:
            self._older.append(self._serving)
        self._serving, self._next = new, None
        for post in self._posts:
            post.forgive()
        log.info("serving %s with %d processes", ", ".join(new.keep.queues), sum(post.wanted for post in self._posts))
