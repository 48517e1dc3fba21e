"""What a supervisor does with store and brokers, in threads: leases, the dead, relay, bells and announcement.

Each generation of children has a keep of its own, with the tasks, queues and settings of its code.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from ..announcement import EVERY_S as ANNOUNCE_EVERY_S
from ..announcement import LEASE_MS, Announcement, Team, announce, withdraw
from ..bridge import Bridge
from ..config import load
from ..errors import StoreUnavailable, StoreUnfit, TaskbridgeError
from ..lease import EVERY_S as RENEW_EVERY_S
from ..lease import host
from ..observe.logs import log_event
from ..operations.cancelling import cancelled
from ..operations.unserved import warn_of_unserved
from ..orders import EMPTY, ORDERS
from ..patience import Trouble
from ..relay import relay_of
from ..relay.dead import TellOfTheDead
from ..schedules.declared import EVERY_S as DECLARE_EVERY_S
from ..schedules.declared import Declarer
from ..store.control import Halts
from ..unrecorded import RECORD_ALL_MS
from ..versioning import content
from .bell import strike
from .options import Ready, WorkerOptions
from .overdue import fail
from .posts import Post
from .slots import Running

log = logging.getLogger("taskbridge.worker")

#: How often the shelves of living children are marked as theirs, seconds; others wait 60 s before they take them.
BEAT_EVERY_S = 10.0

#: How often it is read how many processes this worker is to have, seconds.
ORDERS_EVERY_S = 1.0

#: How often the store is asked what an operator wants, seconds.
OBEY_EVERY_S = 1.0

#: How often the threads look whether something is due, seconds.
TICK_S = 0.1

#: How long its threads are waited for at the end, seconds: each has one trip on its way, and one to say that it goes.
LEAVE_S = 15.0

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
        self.bridge.gather()
        self.name = f"{host()}.{os.getpid()}.{os.urandom(2).hex()}"
        self.queues = list(dict.fromkeys(queue for queues in ready.queues.values() for queue in queues))
        self.orders = EMPTY
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
        self._since_ms = 0
        self._orders_known = -1
        self._declare = Declarer(self.bridge.store, ready.schedules, ready.tasks)
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._troubles: dict[str, Trouble] = {}
        self._absence = Trouble(log, self.bridge.clock, "waiting for the store", "the store answers")
        self._stopping = threading.Event()
        self._rang_s = dict.fromkeys(ready.queues, 0.0)
        self._beat_s = 0.0
        self._halts = Halts()
        self._missed = False
        self._announced_s: float | None = None
        self.paused = 0
        self.records = False
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
            while not (self._store_is_fit() and self._tried("hearing what is asked", self._hear)):
                if self._stopping.wait(AWAY_S):
                    return
        except Exception as error:  # the supervisor decides what becomes of it
            self.unfit = error
        else:
            self._tried("reading what operators ask", self._read_orders)  # a group that is to rest begins nothing
            self.fit = True

    def _store_is_fit(self) -> bool:
        """Look at the store; False when it is away.

        Raises:
            StoreUnfit: it would lose or refuse data; each finding names the setting to change.
        """
        try:
            found = self.bridge.store.fitness()
        except StoreUnavailable as error:
            self._absence.met(error)
            return False
        self._absence.over()
        for finding in found.warnings:
            log.warning("the store (%s): %s", found.server, finding)
        if found.fatal:
            raise StoreUnfit(f"the store ({found.server}) is not fit: {'; '.join(found.fatal)}")
        if found.missing:
            log.warning("waiting for the store (%s): %s", found.server, "; ".join(found.missing))
        return not found.missing

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
                thread.join(timeout=LEAVE_S)
        self.bridge.close()

    def settle(self, post: Post) -> None:
        """A child is gone: bring back what it ran and what it held. Asked for until the store knows."""
        running = post.slot.running()
        settle, stood = self._way_of(post), dict[Running, bool]()
        unrecorded = not post.draining and any(one.unrecorded for one in running)

        def bring_back() -> None:
            if unrecorded:  # who ends its process again is told from others then
                self.records = True
                self.bridge.store.control.record_all(RECORD_ALL_MS)
            for one in running:
                if one not in stood:  # it was told already, and so were listeners
                    stood[one] = settle(one)
            back = [one for one in running if stood[one]]
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
        if post.ended_for == "cancel":
            return self._end_cancelled
        if post.draining or post.ended_for == "time":  # in the latter case it had left its task just in time
            return lambda one: claims.release(one.id, one.claim)
        return self._lose

    def _end_cancelled(self, one: Running) -> bool:
        """Give it back: the store ends what was cancelled, and makes the other one ready again."""
        record = self.bridge.store.messages.look(one.id)
        stood = self.bridge.store.claims.release(one.id, one.claim)
        ended = self.bridge.store.messages.look(one.id) if stood and record else None
        if record and ended and ended.state == "DONE":
            self.bridge.events.emit(cancelled(record, ended.why, one.backend))
        return stood

    def to_end(self, running: Sequence[Running]) -> str:
        """Return the id of what an operator has cancelled and wants ended, of what a child runs; empty for none."""
        ends = self._halts.ends
        return next((one.id for one in running if (one.id, one.claim) in ends), "") if ends else ""

    def _lose(self, one: Running) -> bool:
        stood = self.bridge.store.claims.lose(one.id, one.claim)
        if stood:
            self._tried("telling of the dead", partial(self._tell_of_the_dead, [one.id]))
        return stood

    def give_back_hand(self, post: Post) -> None:
        """A child runs one task for long: what it has not begun goes back to the queues."""
        owner = post.owner

        def empty() -> None:
            if post.owner != owner:
                return
            with post.slot.holding():
                running = post.slot.running()  # what it has begun by now stays with it
                for name, keeper in self._keepers.items():
                    keep = [one.tag for one in running if one.backend == name]
                    if keeper.reclaim(owner, keep=keep):
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
        if {*self._queues_of[group]} <= {*self._halts.queues}:
            return  # what waits there is paused
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
            Round("obeying", self._obey, OBEY_EVERY_S),
            Round("keeping the shelves", self._beat, BEAT_EVERY_S),
            announcing := Round("announcing", self._announce, ANNOUNCE_EVERY_S),
            Round("declaring schedules", self._declare, DECLARE_EVERY_S),
            Round("reading what operators ask", self._read_orders, ORDERS_EVERY_S),
        ]
        while not self._stopping.wait(TICK_S):
            if self._told != self._announcement():  # a reload moves processes from one generation to the next
                announcing.due_s = min(announcing.due_s, clock.monotonic_s())
            for post in self._posts():
                post.slot.record(all=self.records)
                if post.slot.paused != self.paused:
                    post.slot.pause(self.paused)
            for one in rounds:
                if clock.monotonic_s() >= one.due_s and not self._stopping.is_set():
                    done = self._tried(one.name, one.run)
                    one.due_s = clock.monotonic_s() + (one.every_s if done else TICK_S * 5)
        self._tried("withdrawing", self._withdraw)

    def _announcement(self) -> Announcement:
        processes = Counter(post.group for post in self._posts() if post.wanted)
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
            groups={group: Team(processes[group], queues) for group, queues in self._queues_of.items()},
            since_ms=self._since_ms,
        )

    def _announce(self) -> None:
        self._since_ms = self._since_ms or self.bridge.store.now_ms()
        before_s, now_s = self._announced_s, self.bridge.clock.monotonic_s()
        self._told = self._announcement()
        gone = announce(self.bridge.store, self._told)
        self._announced_s = now_s
        if before_s is None or now_s - before_s < LEASE_MS / 1000:  # else the store was away, and not the others
            self._miss(gone)

    def _withdraw(self) -> None:
        self._miss(withdraw(self.bridge.store, self.name))

    def _miss(self, gone: Sequence[str]) -> None:
        """Have all recorded for a while: workers may have died of what they ran without a ledger, and others would."""
        if gone:
            log.warning("gone without a word: %s; what wants no ledger is recorded for an hour", ", ".join(gone))
        self._missed = self._missed or bool(gone)
        if self._missed:
            self.records = True
            self.bridge.store.control.record_all(RECORD_ALL_MS)
            self._missed = False

    def _read_orders(self) -> None:
        """Of one that a newer release wrote nothing is obeyed, and what was read before stands."""
        found = self.bridge.store.orders.read(self._orders_known)
        if found is not None:
            self._orders_known = found.version
            self.orders = content(ORDERS, found)

    def _renew(self) -> None:
        running = [one for post in self._posts() if post.pid for one in post.slot.running()]
        self.bridge.store.claims.renew([(one.id, one.claim) for one in running if not one.unrecorded])

    def _hear(self) -> None:
        """Hear what there is to know before the first child; nothing stands announced yet that could be withdrawn."""
        self._withdraw()
        self._obey()

    def _obey(self) -> None:
        """Hear which queues rest, which processes are to be ended, and whether all is recorded."""
        self._halts = halts = self.bridge.store.control.halts()
        paused = [queue for queue in halts.queues if queue in self.queues]
        self.records = halts.records or bool(paused) or not {*self._tasks}.isdisjoint(halts.tasks)
        self.paused = zlib.crc32("\n".join([*paused, str(halts.since_ms)]).encode()) or 1 if paused else 0

    def _beat(self) -> None:
        owners = [post.owner for post in self._posts() if post.pid]
        for keeper in self._keepers.values():
            keeper.beat(owners)
        self._beat_s = self.bridge.clock.monotonic_s()

    def _tried(self, what: str, run: Callable[[], object]) -> bool:
        """Do it; False when it is worth doing again at once."""
        says, over = f"{what} failed and is tried again", f"{what} goes on"
        trouble = self._troubles.setdefault(what, Trouble(log, self.bridge.clock, says, over))
        try:
            run()
            trouble.over()
        except TaskbridgeError as error:
            trouble.met(error)
            return False
        except Exception:  # our own fault, or a vendor's: a thread that died would renew no claims
            log.exception("%s failed", what)  # and would again: an errand must not hold up those behind it
        return True


class Round:
    """Something done every so many seconds."""

    def __init__(self, name: str, run: Callable[[], object], every_s: float) -> None:
        self.name, self.run, self.every_s, self.due_s = name, run, every_s, 0.0
