"""The store on Redis 6.2 or later, or Valkey 7.2 or later: one file per protocol, one Lua file per verb."""

from __future__ import annotations

from ...redis.server import Server
from .. import Fitness
from ..keys import Keys
from .batches import RedisBatches
from .chains import RedisChains
from .claims import RedisClaims
from .dead import RedisDead
from .documents import RedisDocuments
from .fitness import fitness
from .gauging import RedisGauging
from .leader import RedisLeader
from .messages import RedisMessages
from .outbox import RedisOutbox
from .parked import RedisParked
from .routes import RedisRoutes
from .runs import RedisRuns
from .schedules import RedisSchedules
from .waiting import RedisWaiting


class RedisStore:
    """All protocols on one server.

    Args:
        url: a Redis URL.
        namespace: prefix of the keys.
    """

    def __init__(self, url: str, namespace: str) -> None:
        self.server = Server(url)
        self.keys = Keys(namespace)
        self.claims = RedisClaims(self.server, self.keys)
        self.outbox = RedisOutbox(self.server, self.keys)
        self.parked = RedisParked(self.server, self.keys)
        self.waiting = RedisWaiting(self.server, self.keys)
        self.chains = RedisChains(self.server, self.keys)
        self.batches = RedisBatches(self.server, self.keys)
        self.runs = RedisRuns(self.server, self.keys)
        self.dead = RedisDead(self.server, self.keys)
        self.messages = RedisMessages(self.server, self.keys)
        self.leader = RedisLeader(self.server, self.keys)
        self.documents = RedisDocuments(self.server, self.keys)
        self.schedules = RedisSchedules(self.server, self.keys)
        self.gauging = RedisGauging(self.server, self.keys, self.runs)
        self.routes = RedisRoutes(self.server, self.keys)

    def now_ms(self) -> int:
        seconds, microseconds = self.server.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def fitness(self) -> Fitness:
        return fitness(self.server, self.keys)

    def close(self) -> None:
        self.outbox.close()
        self.routes.close()
        self.server.close()
