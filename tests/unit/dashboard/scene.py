"""A store that has something of everything, and for each action a form that would change it."""

from __future__ import annotations

from dataclasses import dataclass

from taskbridge import Bridge, cron
from taskbridge.announcement import Announcement, Known, Team, announce
from taskbridge.message import encode
from taskbridge.needs import NeedsLock
from taskbridge.operations import control, limits, migration, runs, schedules, workers
from taskbridge.schedules.declared import declarer_of
from taskbridge.store import Begin, Finish
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import goes_on, start

#: What is dead, and of whom.
TASK = "bank.pay"

LOCK, LIMIT, IDLE_LIMIT = "user:7", "provider", "resting"

WORKER, PAUSED = "host.1", "letters"

SCHEDULE, RESTING, YEARLY = "yearly", "resting", "0 0 1 1 *"


#: Half a minute short of two hours: it is shown as so many minutes, however busy the machine is.
DELAY_MS = 7_170_000


@dataclass(frozen=True, slots=True)
class Scene:
    """Names of what is there."""

    dead: str
    delayed: str
    run: str
    paused_run: str
    migration: str

    def forms(self) -> dict[str, dict[str, str]]:
        """For each action one that changes something."""
        return {
            "control.pause": {"kind": "queue", "name": "emails", "why": "the provider is down"},
            "control.resume": {"kind": "queue", "name": PAUSED},
            "message.cancel": {"id": self.delayed},
            "dead.replay": {"id": self.dead},
            "dead.purge": {"id": self.dead},
            "dead.replay_task": {"task": TASK},
            "dead.purge_task": {"task": TASK},
            "limit.set": {"name": LIMIT, "rate": "7/s"},
            "limit.pause": {"name": LIMIT},
            "limit.resume": {"name": IDLE_LIMIT},
            "limit.reset": {"name": LIMIT},
            "lock.break": {"key": LOCK},
            "migration.share": {"id": self.migration, "percent": "20"},
            "migration.ramp": {"id": self.migration},
            "migration.pause": {"id": self.migration},
            "migration.resume": {"id": self.migration},
            "migration.rollback": {"id": self.migration},
            "migration.finish": {"id": self.migration},
            "run.pause": {"id": self.run},
            "run.resume": {"id": self.paused_run},
            "run.cancel": {"id": self.run},
            "schedule.pause": {"name": SCHEDULE},
            "schedule.resume": {"name": RESTING},
            "schedule.run": {"name": SCHEDULE},
            "workers.scale": {"group": "default", "processes": "4"},
            "workers.reset": {"group": "asked"},
            "workers.shutdown": {"worker": WORKER},
        }


def build(bridge: Bridge) -> Scene:
    """Put something of everything into a store."""
    store = bridge.store
    known = {TASK: Known(queue="emails", positional=("user_id",))}
    teams = {"default": Team(1, ["emails"]), "asked": Team(1, ["emails"])}
    fields = {"queues": ["emails"], "processes": 2, "tasks": {TASK: ["user_id"]}, "known": known, "groups": teams}
    announce(store, Announcement(name=WORKER, backends=["celery", "dramatiq"], **fields))
    dead = a_message(id="dead-1", task=TASK, queue="emails")
    store.claims.begin(Begin(message=dead, body=encode(dead), claim="h.1:celery:1", max_crashes=5))
    store.claims.finish(Finish(id=dead.id, claim="h.1:celery:1", state="DEAD", why="OSError: away", traceback="..."))
    locks = (NeedsLock(LOCK),)
    for claim in ("h.1:celery:2", "h.1:celery:3"):
        one = a_message(task=TASK, queue="emails")
        store.claims.begin(Begin(message=one, body=encode(one), claim=claim, max_crashes=5, locks=locks))
    delayed = a_message(task=TASK, queue="emails")
    store.outbox.put([delayed], DELAY_MS)
    control.pause(bridge, "queue", PAUSED, anyway=True)
    limits.set_rate(store, LIMIT, "10/s")
    limits.pause(store, IDLE_LIMIT)

    @bridge.task(
        name="bank.report", queue="emails", schedule=[cron("0 0 1 1 *", name=SCHEDULE), cron("0 0 1 2 *", name=RESTING)]
    )
    def report() -> None: ...

    declarer_of(bridge.definitions, bridge.sender)()
    schedules.pause(store, RESTING)
    going, paused = start(store, "c0"), start(store, "c1")
    goes_on(store, going, "c0")
    goes_on(store, paused, "c1")
    runs.pause(store, paused.id)
    workers.scale(bridge, "asked", 3)
    moving = migration.start(bridge, origin="celery", target="dramatiq", tasks=[TASK]).migration
    migration.share(bridge, 5, id=moving.id)
    return Scene(dead=dead.id, delayed=delayed.id, run=going.id, paused_run=paused.id, migration=moving.id)
