"""The store on Redis 6.2 or later, or Valkey 7.2 or later: one file per protocol, one Lua file per verb."""

from __future__ import annotations

from ...redis.confirming import Confirming
from ...redis.server import Server
from ...store_wait import StoreWait
from .. import Fitness
from ..keys import Keys
from .audit import RedisAudit
from .batches import RedisBatches
from .browsing import RedisBrowsing
from .chains import RedisChains
from .claims import RedisClaims
from .control import RedisControl
from .dead import RedisDead
from .documents import RedisDocuments
from .evidence import RedisEvidence
from .fitness import fitness
from .gauging import RedisGauging
from .history import RedisHistory
from .leader import RedisLeader
from .messages import RedisMessages
from .outbox import RedisOutbox
from .parked import RedisParked
from .runs import RedisRuns
from .schedules import RedisSchedules
from .shadows import RedisShadows
from .versions import RedisVersions
from .waiting import RedisWaiting


class RedisStore:
    """All protocols on one server.

    Args:
        url: a Redis URL.
        namespace: prefix of the keys.
        wait: what has to confirm what it is told, where only the store has it then. Defaults to nothing.
    """

    def __init__(self, url: str, namespace: str, wait: StoreWait | None = None) -> None:
        self.server = Server(url)
        self.keys = Keys(namespace)
        self._wait = wait
        confirming = Confirming(self.server, wait, self.keys.confirm)
        self.claims = RedisClaims(self.server, self.keys, confirming)
        self.outbox = RedisOutbox(self.server, self.keys, confirming)
        self.parked = RedisParked(self.server, self.keys)
        self.waiting = RedisWaiting(self.server, self.keys)
        self.chains = RedisChains(self.server, self.keys)
        self.batches = RedisBatches(self.server, self.keys, confirming)
        self.runs = RedisRuns(self.server, self.keys, confirming)
        self.dead = RedisDead(self.server, self.keys, confirming)
        self.control = RedisControl(self.server, self.keys)
        self.audit = RedisAudit(self.server, self.keys)
        self.messages = RedisMessages(self.server, self.keys)
        self.leader = RedisLeader(self.server, self.keys)
        self.documents = RedisDocuments(self.server, self.keys)
        self.schedules = RedisSchedules(self.server, self.keys)
        self.gauging = RedisGauging(self.server, self.keys, self.runs)
        self.browsing = RedisBrowsing(self.server, self.keys)
        self.history = RedisHistory(self.server, self.keys)
        self.evidence = RedisEvidence(self.server, self.keys)
        self.routes = RedisVersions(self.server, self.keys.routes, "routes")
        self.migrations = RedisVersions(self.server, self.keys.migrations, "migrations")
        self.orders = RedisVersions(self.server, self.keys.orders, "orders")
        self.shadows = RedisShadows(self.server, self.keys)

    def now_ms(self) -> int:
        seconds, microseconds = self.server.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def fitness(self) -> Fitness:
        return fitness(self.server, self.keys, self._wait)

    def close(self) -> None:
        self.outbox.close()
        self.routes.close()
        self.migrations.close()
        self.orders.close()
        self.server.close()
