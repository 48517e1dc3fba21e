"""Every key of the store: its type, and what it holds. One hash tag, so all lie in one slot.

A change here is a change of the schema: raise ``SCHEMA`` and say so in the changelog; but for what nobody reads.
"""

from __future__ import annotations

#: The store's schema; a release refuses a store of another one.
SCHEMA = "4"


class Keys:
    """The names of the keys in one namespace."""

    def __init__(self, namespace: str) -> None:
        tag = f"{{{namespace}}}"
        self.schema = f"{tag}:schema"
        """string: ``SCHEMA``"""
        self.message = f"{tag}:m:"
        """prefix of a hash per message: its record"""
        self.leases = f"{tag}:leases"
        """zset "claim id" -> end of the lease (unix ms)"""
        self.due = f"{tag}:due"
        """zset id -> due, or end of the relay's lease (unix ms)"""
        self.dead = f"{tag}:dead"
        """zset id -> when it died (unix ms)"""
        self.parked = f"{tag}:parked"
        """zset id -> until when it waits for a newer worker (unix ms)"""
        self.group = f"{tag}:group:"
        """prefix of a zset per group: id -> until (unix ms)"""
        self.groups = f"{tag}:groups"
        """hash group -> how many wait in it"""
        self.counts = f"{tag}:counts"
        """hash "queue state" -> how many"""
        self.bell = f"{tag}:bell"
        """list: wakes the relay; at most one token"""
        self.fence = f"{tag}:fence"
        """string: grows with each accepted begin"""
        self.pulse = f"{tag}:pulse"
        """string: when claims were last swept (unix ms)"""
        self.quiet = f"{tag}:quiet"
        """string: until when no claim is taken away (unix ms)"""
        self.confirm = f"{tag}:confirm"
        """string: written before WAIT and WAITAOF, which wait for it; nobody reads it"""
        self.lock = f"{tag}:lock:"
        """prefix of a hash per lock: id -> claim of its holder, "" while it is reserved"""
        self.lock_wait = f"{tag}:lock-wait:"
        """prefix of a zset per lock: id -> turn"""
        self.reserved = f"{tag}:reserved"
        """zset id -> until when its locks are reserved for it (unix ms; +inf for a run's)"""
        self.rate = f"{tag}:rate:"
        """prefix of a string per limit's key: when its next start is due at its pace (unix us)"""
        self.rate_wait = f"{tag}:rate-wait:"
        """prefix of a zset per limit's key: id -> turn"""
        self.rate_out = f"{tag}:rate-out:"
        """prefix of a zset per limit's key: "weight id" let out and not begun -> until when it counts (unix ms)"""
        self.pacing = f"{tag}:pacing"
        """zset limit's key that is waited at -> when the next may be let out (unix ms)"""
        self.limits = f"{tag}:limits"
        """hash name of a limit -> "interval (us) burst", changed at run time; "paused" behind or alone"""
        self.turn = f"{tag}:turn"
        """string: grows with each first wait"""
        self.wake = f"{tag}:wake:"
        """prefix of a list per hold: wakes the code that waits"""
        self.unique = f"{tag}:unique:"
        """prefix of a string per key under which one message is taken: its id"""
        self.schedule = f"{tag}:schedule:"
        """prefix of a hash per schedule: what was declared and set, and its ticks"""
        self.schedules = f"{tag}:schedules"
        """zset schedule -> until when the word of who declared it stands (unix ms)"""
        self.ticks = f"{tag}:ticks"
        """zset schedule -> when its next tick is looked at (unix ms); +inf while it has none"""
        self.flow = f"{tag}:flow:"
        """prefix of chains, batches and runs: hashes ``chain:<id>``, ``batch:<id>``, ``run:<id>``, the sets
        ``run:<id>:sent`` and ``batch-sent:<id>``, and the zsets ``chains``, ``batches``, ``batches:until``, ``runs``;
        flow.lua tells what is in them"""
        self.paused = f"{tag}:paused"
        """hash "task NAME", "queue NAME" or "key KEY" -> whether it is paused, when, who and why; with ":" and such a
        field behind it a zset of what waits for that: id -> turn"""
        self.ended = f"{tag}:ended"
        """zset "claim id" whose process is to be ended -> when that was said (unix ms)"""
        self.record_all = f"{tag}:record_all"
        """string, while messages of tasks with ledger=False are recorded, too"""
        self.audit = f"{tag}:audit"
        """list of what operators did, the newest last, five words each: when (unix ms), who, verb, subject, detail"""
        self.routes = f"{tag}:routes"
        """list of the route table's last versions, five words each: version, when (unix ms), who, note, document"""
        self.watched = f"{tag}:watched"
        """zset task -> until when what it does is gathered (unix ms)"""
        self.attended = f"{tag}:attended"
        """hash task -> "since until" (unix ms): for whom somebody looks on at what it does"""
        self.evidence = f"{tag}:evidence:"
        """prefix of a hash "instant (unix ms) backend task": what was counted in ten seconds; add_evidence.lua"""
        self.told = f"{tag}:told:"
        """prefix of a string per teller of evidence: its last turn"""
        self.migrations = f"{tag}:migrations"
        """list of the last versions of what is known of migrations, as of the route table"""
        self.orders = f"{tag}:orders"
        """list of the last versions of what operators ask of workers, as of the route table"""
        self.shadow = f"{tag}:shadow:"
        """prefix of what shadows are compared by: hashes ``pair:<id>`` and ``tally:<rule>``, the zsets ``pairs`` and
        ``tallies``, and the list ``last``; shadow.lua tells what is in them"""
        self.history = f"{tag}:history"
        """list of the last moments that a dashboard took, two words each: when (unix ms), its numbers"""
        self._leader = f"{tag}:leader:"
        self._document = f"{tag}:doc:"
        self._held = f"{tag}:held:"

    @property
    def record(self) -> list[str]:
        """The keys of every script that begins with record.lua, in its order."""
        return [
            *(self.message, self.leases, self.due, self.dead, self.parked, self.group),
            *(self.groups, self.counts, self.bell, self.fence, self.pulse, self.quiet),
            *(self.lock, self.lock_wait, self.reserved, self.rate, self.rate_wait, self.rate_out),
            *(self.pacing, self.limits, self.turn, self.wake, self.unique, self.flow),
            self.paused,
        ]

    @property
    def timetable(self) -> list[str]:
        """The keys of every script about schedules, in its order; they come last."""
        return [self.schedule, self.schedules, self.ticks]

    def leader(self, duty: str) -> str:
        """string: the owner, until its lease ends"""
        return self._leader + duty

    def documents(self, kind: str) -> list[str]:
        """hash key -> document, and zset key -> when it lapses (unix ms)"""
        return [self._document + kind, f"{self._document}{kind}:until"]

    def shelf(self, backend: str, owner: str) -> str:
        """On the broker's server. hash tag -> what a worker fetched and has not acknowledged"""
        return f"{self._held}{backend}:{owner}"

    def owners(self, backend: str) -> str:
        """On the broker's server. zset owner -> when it was last seen alive (unix ms)"""
        return self._held + backend
