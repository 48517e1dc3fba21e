"""The store in memory: for tests, and for one process that may forget. One file per protocol, one lock."""

from __future__ import annotations

from ...clock import Clock, SystemClock
from .. import Fitness
from .audit import MemoryAudit
from .batches import MemoryBatches
from .browsing import MemoryBrowsing
from .chains import MemoryChains
from .claims import MemoryClaims
from .control import MemoryControl
from .dead import MemoryDead
from .documents import MemoryDocuments
from .evidence import MemoryEvidence
from .gauging import MemoryGauging
from .history import MemoryHistory
from .leader import MemoryLeader
from .messages import MemoryMessages
from .outbox import MemoryOutbox
from .parked import MemoryParked
from .records import Records
from .runs import MemoryRuns
from .schedules import MemorySchedules
from .shadows import MemoryShadows
from .versions import MemoryVersions
from .waiting import MemoryWaiting


class MemoryStore:
    """All protocols in this process. There is no broker in it, so ``Held`` means nothing here.

    Args:
        clock: the store's time. Defaults to the machine's.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        records = Records(clock or SystemClock())
        self.now_ms = records.now_ms
        self.claims = MemoryClaims(records)
        self.outbox = MemoryOutbox(records)
        self.parked = MemoryParked(records)
        self.waiting = MemoryWaiting(records)
        self.chains = MemoryChains(records)
        self.batches = MemoryBatches(records)
        self.runs = MemoryRuns(records)
        self.dead = MemoryDead(records)
        self.control = MemoryControl(records)
        self.audit = MemoryAudit(records)
        self.messages = MemoryMessages(records)
        self.leader = MemoryLeader(records)
        self.documents = MemoryDocuments(records)
        self.schedules = MemorySchedules(records)
        self.gauging = MemoryGauging(records, self.leader)
        self.browsing = MemoryBrowsing(records)
        self.history = MemoryHistory(records)
        self.evidence = MemoryEvidence(records)
        self.routes = MemoryVersions(records)
        self.migrations = MemoryVersions(records)
        self.orders = MemoryVersions(records)
        self.shadows = MemoryShadows(records)

    def fitness(self) -> Fitness:
        return Fitness(server="memory")

    def close(self) -> None:
        """Nothing is held open."""
