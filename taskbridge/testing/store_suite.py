"""StoreSuite: the laws that every store keeps, the same in Redis and in memory.

A store's test is one subclass::

    pytest.register_assert_rewrite("taskbridge.testing")  # in conftest.py: failures then show both sides

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self):                # a new and empty one for each case
            ...

        def advance(self, store, ms):   # let the store see so much time pass
            ...
"""

from __future__ import annotations

from .laws.adopted import AdoptLaws
from .laws.backlog import BacklogLaws
from .laws.batches import BatchLaws
from .laws.browsing import BrowsingLaws
from .laws.cancelled import AuditLaws, CancelledLaws
from .laws.chains import ChainLaws
from .laws.claims import BeginLaws, FinishLaws
from .laws.dead import DeadLaws
from .laws.evidence import EvidenceLaws
from .laws.gauging import GaugingLaws
from .laws.history import HistoryLaws
from .laws.leases import LeaseLaws
from .laws.limits import LimitLaws
from .laws.locks import HoldLaws, LockLaws
from .laws.messages import MessagesLaws
from .laws.outbox import OutboxLaws, WaitLaws
from .laws.parked import ParkedLaws
from .laws.paused import PausedLaws
from .laws.rewinding import RewindLaws
from .laws.run_forks import ForkLaws
from .laws.run_needs import RunNeedsLaws
from .laws.runs import RunLaws
from .laws.schedules import DeclarationLaws, ScheduleLaws
from .laws.shadows import ShadowLaws
from .laws.shared import DocumentsLaws, LeaderLaws
from .laws.steering import CancelLaws, PauseLaws
from .laws.traces import TraceLaws
from .laws.trail import TrailLaws, TurnLaws
from .laws.unique import UniqueLaws
from .laws.versions import VersionsLaws
from .laws.waited import WaitedLaws


class StoreSuite(
    BeginLaws,
    FinishLaws,
    LeaseLaws,
    LockLaws,
    HoldLaws,
    LimitLaws,
    WaitedLaws,
    UniqueLaws,
    BatchLaws,
    OutboxLaws,
    WaitLaws,
    AdoptLaws,
    ParkedLaws,
    ChainLaws,
    DeadLaws,
    RunLaws,
    ForkLaws,
    RunNeedsLaws,
    BacklogLaws,
    PauseLaws,
    CancelLaws,
    RewindLaws,
    MessagesLaws,
    PausedLaws,
    CancelledLaws,
    AuditLaws,
    GaugingLaws,
    BrowsingLaws,
    HistoryLaws,
    LeaderLaws,
    DocumentsLaws,
    ScheduleLaws,
    DeclarationLaws,
    EvidenceLaws,
    VersionsLaws,
    ShadowLaws,
    TraceLaws,
    TrailLaws,
    TurnLaws,
):
    """Every law; the file it stands in is named for the protocol."""
