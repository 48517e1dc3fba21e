"""A generation: one template process, the channel to it, and the keep of the children it forked.

A worker has one that orders go to; during a reload the next is on its way, and older ones live until their last child
has gone. Nothing here waits: what a template says is read when it is there, what takes time runs in threads.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

import msgspec

from ..errors import ConfigError, TaskbridgeError
from ..events import KINDS
from .keep import Keep
from .news import Teller
from .options import Exited, Fork, Forked, Ready, Refused, WorkerOptions, line, word
from .posts import Post

log = logging.getLogger("taskbridge.worker")

#: How long a template that is wanted no more may take to end, seconds.
GONE_S = 5.0

NO_LAST_WORD = "the process that imports the tasks died before it could say why; see the log above"


class Generation:
    """Starts a template; ``keep`` is there when it has imported the tasks, ``refused`` when it cannot serve.

    ``ended`` says that the template is gone, its children with it, and that all it said was heard.

    Args:
        options: what the worker is.
        posts: those of all generations.
        page: the file descriptor of the slots' memory.
        bells: the pipe of each group.
    """

    def __init__(
        self, options: WorkerOptions, posts: Sequence[Post], page: int, bells: Mapping[str, tuple[int, int]]
    ) -> None:
        self.keep: Keep | None = None
        self.ended = False
        self.refused: Exception | None = None
        self._options = options
        self._posts = posts
        self._bells = bells
        self._heard = b""
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        self._news, their_news = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        fds = (theirs.fileno(), page, their_news.fileno(), *(end for bell in bells.values() for end in bell))
        arguments = [str(os.getpid()), *map(str, fds), msgspec.json.encode(options).decode()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "taskbridge.worker.template", *arguments],
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for the supervisor, which tells the children
            cwd=options.directory,
        )
        theirs.close()
        their_news.close()

    @property
    def fit(self) -> bool:
        """Whether it can serve."""
        return not self.ended and self.keep is not None and self.keep.fit

    @property
    def posts(self) -> list[Post]:
        """Where its children stand, or stood last."""
        return [post for post in self._posts if post.generation is self]

    def hear(self) -> list[Forked | Exited]:
        """Return what it says of its children; its first word is for us."""
        gone = self._process.poll() is not None
        try:
            more = self.channel.recv(65536)
        except BlockingIOError:
            self.ended = gone
            return []
        except OSError as error:
            log.debug("the template is gone: %s", error)
            more = b""
        if not more:
            self.kill()  # it may be there yet, and hears us no more
            self.ended = gone
            return []
        *lines, self._heard = (self._heard + more).split(b"\n")
        said = [word(text) for text in lines]
        for one in said:
            if isinstance(one, Ready):
                self._began(one)
            elif isinstance(one, Refused):
                self.refused = ConfigError(one.why)
        return [one for one in said if isinstance(one, Forked | Exited)]

    def order(self, post: Post, now_s: float) -> None:
        """Ask for a child."""
        assert self.keep is not None
        post.ordered(f"{self.keep.name}.{post.number}.{post.boots + 1}", now_s)
        post.generation = self
        post.slot.pause(self.keep.paused)
        post.slot.record(all=self.keep.records)
        try:
            self.channel.setblocking(True)
            self.channel.sendall(line(Fork(slot=post.number, owner=post.owner, group=post.group)))
        except OSError as error:
            log.debug("the template is gone, as the next look will see: %s", error)
        finally:
            self.channel.setblocking(False)

    def look(self) -> Exception | None:
        """Return why it cannot serve, once that is known."""
        if self.refused is None and self.keep is not None:
            self.refused = self.keep.unfit
        if self.refused is None and self.ended:
            self.refused = ConfigError(NO_LAST_WORD)
        return self.refused

    def kill(self) -> None:
        """End the template and its children at once."""
        self._process.kill()

    def leave(self) -> threading.Thread:
        """End the template, which has no children left, and the keep when it has done what it has to; in a thread."""
        self.channel.close()
        thread = threading.Thread(target=self._leave, name="leaving")
        thread.start()
        return thread

    def _leave(self) -> None:
        try:
            self._process.wait(GONE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.keep is not None:
            self.keep.stop()
        self._news.close()

    def _began(self, ready: Ready) -> None:
        ends = {group: strike for group, (_, strike) in self._bells.items()}
        try:
            self.keep = Keep(self._options, ready, lambda: self.posts, ends)
            if ready.hears:
                kinds = [KINDS[name] for name in ready.hears]
                self.keep.bridge.subscribe(Teller(self._news).tell, *kinds)
        except TaskbridgeError as error:
            self.refused = error
        else:
            self.keep.look_at_the_store()
