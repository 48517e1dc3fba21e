"""What a supervisor does with store and brokers, in threads: leases, the dead, relay, bells and announcement.

Each generation of children has a keep of its own, with the tasks, queues and settings of its code.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from ..announcement import EVERY_S as ANNOUNCE_EVERY_S
from ..announcement import Announcement, announce, withdraw
from ..bridge import Bridge
from ..config import load
from ..errors import StoreUnavailable, StoreUnfit, TaskbridgeError
from ..lease import EVERY_S as RENEW_EVERY_S
from ..lease import host
from ..observe.logs import log_event
from ..operations.unserved import warn_of_unserved
from ..relay import relay_of
from ..relay.dead import TellOfTheDead
from ..schedules.declared import EVERY_S as DECLARE_EVERY_S
from ..schedules.declared import Declarer
from .bell import strike
from .options import Ready, WorkerOptions
from .overdue import fail
from .posts import Post
from .slots import Running

log = logging.getLogger("taskbridge.worker")

#: How often the shelves of living children are marked as theirs, seconds; others wait 60 s before they take them.
BEAT_EVERY_S = 10.0

#: How often the threads look whether something is due, seconds.
TICK_S = 0.1

#: How long to leave an absent store alone at the start, seconds.
AWAY_S = 1.0


class Keep:
    """Keeps what the children of one generation hold.

    Args:
        options: what the worker is.
        ready: what its template said: tasks, queues, settings.
        posts: returns those that are its.
        bells: by group, the end of the pipe that wakes one of its children.
    """

    def __init__(
        self, options: WorkerOptions, ready: Ready, posts: Callable[[], list[Post]], bells: Mapping[str, int]
    ) -> None:
        self.bridge = Bridge(load({}, **msgspec.json.decode(ready.settings)))
        self.bridge.observing.handed = ready.handed
        self.bridge.events.subscribe(log_event)
        self.bridge.observe(*options.observers)
        self.name = f"{host()}.{os.getpid()}.{os.urandom(2).hex()}"
        self.queues = list(dict.fromkeys(queue for queues in ready.queues.values() for queue in queues))
        self.fit = False
        self.unfit: Exception | None = None
        self._tasks, self._limits, self._known = ready.tasks, ready.limits, ready.known
        self._queues_of = ready.queues
        self._posts = posts
        self._bells = bells
        names = options.backends or [self.bridge.settings.backend]
        self._keepers = {name: self.bridge.backend(name).keeper(self.queues) for name in names}
        self._tell_of_the_dead = TellOfTheDead(self.bridge.sender)
        self._told: Announcement | None = None
        self._declare = Declarer(self.bridge.store, ready.schedules, ready.tasks)
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._rang_s = dict.fromkeys(ready.queues, 0.0)
        self._beat_s = 0.0
        self._relay = relay_of(self.bridge.sender, self.name)
        self._threads = [
            threading.Thread(target=self._rounds, name="rounds"),
            threading.Thread(target=self._run_errands, name="errands"),
            threading.Thread(target=self._relay.run, args=(self._stopping,), name="relay"),
            *(self._watch(group, name) for group in ready.queues for name in names),
        ]

    @property
    def leads(self) -> bool:
        """Whether its relay does."""
        return self._relay.leads

    def look_at_the_store(self) -> None:
        """Find out, in a thread, whether it is fit; while it is away neither ``fit`` nor ``unfit`` is set."""
        threading.Thread(target=self._look_at_the_store, name="fitness", daemon=True).start()

    def _look_at_the_store(self) -> None:
        try:
            while not self._store_is_fit():
                if self._stopping.wait(AWAY_S):
                    return
        except Exception as error:  # the supervisor decides what becomes of it
            self.unfit = error
        else:
            self.fit = True

    def _store_is_fit(self) -> bool:
        """Look at the store; False when it is away.

        Raises:
            StoreUnfit: it would lose or refuse data; each finding names the setting to change.
        """
        try:
            found = self.bridge.store.fitness()
        except StoreUnavailable as error:
            log.warning("waiting for the store: %s", error)
            return False
        for finding in found.warnings:
            log.warning("the store (%s): %s", found.server, finding)
        if found.fatal:
            raise StoreUnfit(f"the store ({found.server}) is not fit: {'; '.join(found.fatal)}")
        return True

    def start(self) -> None:
        """Begin."""
        self._errands.put(partial(warn_of_unserved, self.bridge, list(self._keepers), self.queues))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Do what is left to do, withdraw, and end; it may not have been started."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=10)
        self.bridge.close()

    def settle(self, post: Post) -> None:
        """A child is gone: bring back what it ran and what it held. Asked for until the store knows."""
        running = post.slot.running()
        settle = self._way_of(post)

        def bring_back() -> None:
            back = [one for one in running if settle(one)]
            for name, keeper in self._keepers.items():
                keeper.reclaim(owner, done=[one.tag for one in back if one.backend == name])

        owner = post.owner
        self._errands.put(bring_back)

    def _way_of(self, post: Post) -> Callable[[Running], bool]:
        """Return what becomes of a claim of a child that is gone; it answers whether that claim stood."""
        claims = self.bridge.store.claims
        overdue = post.slot.overdue if post.ended_for == "time" else None
        if overdue is not None:
            return lambda one: fail(one, overdue, self.bridge, self.name)
        if post.draining or post.ended_for == "time":  # in the latter case it had left its task just in time
            return lambda one: claims.release(one.id, one.claim)
        return self._lose

    def _lose(self, one: Running) -> bool:
        stood = self.bridge.store.claims.lose(one.id, one.claim)
        if stood:
            self._tried("telling of the dead", partial(self._tell_of_the_dead, [one.id]))
        return stood

    def give_back_hand(self, post: Post) -> None:
        """A child runs one task for long: what it has not begun goes back to the queues."""
        running = post.slot.running()

        def empty() -> None:
            for name, keeper in self._keepers.items():
                keep = [one.tag for one in running if one.backend == name]
                if keeper.reclaim(post.owner, keep=keep):
                    post.slot.empty_hand()

        self._errands.put(empty)

    def work_waits(self, group: str, patience_s: float) -> bool:
        """Whether a group's queues have had messages all the while, by a broker that answers."""
        now_s = self.bridge.clock.monotonic_s()
        return now_s - self._rang_s[group] < patience_s / 10 and now_s - self._beat_s < BEAT_EVERY_S * 2

    def _watch(self, group: str, backend: str) -> threading.Thread:
        keeper = self.bridge.backend(backend).keeper(self._queues_of[group])
        watch = partial(keeper.watch, partial(self._ring, group), self._stopping)
        return threading.Thread(target=watch, name=f"watch {group}".rstrip(), daemon=True)

    def _ring(self, group: str) -> None:
        self._rang_s[group] = self.bridge.clock.monotonic_s()
        strike(self._bells[group])

    def _run_errands(self) -> None:
        """Settle the dead, in order, each until it is done."""
        while not (self._stopping.is_set() and self._errands.empty()):
            try:
                errand = self._errands.get(timeout=TICK_S)
            except queue.Empty:
                continue
            while not self._tried("settling what a child held", errand):
                if self._stopping.wait(TICK_S * 5):
                    log.warning("the store is away: what the children held comes back when its lease lapses")
                    return

    def _rounds(self) -> None:
        """Renew, beat, announce and declare, each in its time."""
        clock = self.bridge.clock
        rounds = [
            Round("renewing claims", self._renew, RENEW_EVERY_S),
            Round("keeping the shelves", self._beat, BEAT_EVERY_S),
            announcing := Round("announcing", self._announce, ANNOUNCE_EVERY_S),
            Round("declaring schedules", self._declare, DECLARE_EVERY_S),
        ]
        while not self._stopping.wait(TICK_S):
            if self._told != self._announcement():  # a reload moves processes from one generation to the next
                announcing.due_s = min(announcing.due_s, clock.monotonic_s())
            for one in rounds:
                if clock.monotonic_s() >= one.due_s:
                    done = self._tried(one.name, one.run)
                    one.due_s = clock.monotonic_s() + (one.every_s if done else TICK_S * 5)
        self._tried("withdrawing", lambda: withdraw(self.bridge.store, self.name))

    def _announcement(self) -> Announcement:
        processes = Counter(post.group for post in self._posts())
        serving = Counter[str]()
        for group, queues in self._queues_of.items():
            serving.update(dict.fromkeys(queues, processes[group]))
        return Announcement(
            name=self.name,
            backends=list(self._keepers),
            queues=self.queues,
            processes=processes.total(),
            tasks=self._tasks,
            serving=dict(serving),
            limits=self._limits,
            known=self._known,
        )

    def _announce(self) -> None:
        self._told = self._announcement()
        announce(self.bridge.store, self._told)

    def _renew(self) -> None:
        claims = [(one.id, one.claim) for post in self._posts() if post.pid for one in post.slot.running()]
        self.bridge.store.claims.renew(claims)

    def _beat(self) -> None:
        owners = [post.owner for post in self._posts() if post.pid]
        for keeper in self._keepers.values():
            keeper.beat(owners)
        self._beat_s = self.bridge.clock.monotonic_s()

    def _tried(self, what: str, run: Callable[[], object]) -> bool:
        """Do it; False when it is worth doing again at once."""
        try:
            run()
        except TaskbridgeError as error:
            log.warning("%s failed and is tried again: %s", what, error)
            return False
        except Exception:  # our own fault, or a vendor's: a thread that died would renew no claims
            log.exception("%s failed", what)  # and would again: an errand must not hold up those behind it
        return True


class Round:
    """Something done every so many seconds."""

    def __init__(self, name: str, run: Callable[[], object], every_s: float) -> None:
        self.name, self.run, self.every_s, self.due_s = name, run, every_s, 0.0
