"""One case that fires each alert, and those that must not: what Prometheus has scraped, and when it is asked.

A minute stands between two values; ``0+10x30`` begins at 0 and adds 10 thirty times, ``_`` is a scrape without it, and
``stale`` one that says that it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

AT = 'job="bank",instance="w1"'
WORK = f'{AT},backend="celery",broker="redis",queue="mail"'
TASK = f'{WORK},task="bank.mail"'

LENGTH = f"taskbridge_queue_length{{{WORK}}}"
OLDEST = f"taskbridge_queue_oldest_age_seconds{{{WORK}}}"
SERVING = f"taskbridge_queue_processes{{{WORK}}}"
STARTED = f"taskbridge_started_total{{{TASK}}}"
SUCCEEDED = f"taskbridge_succeeded_total{{{TASK}}}"
FAILED = f'taskbridge_failed_total{{{TASK},exception="OSError"}}'
RETRIED = f'taskbridge_retried_total{{{TASK},exception="OSError"}}'
DEAD = f'taskbridge_dead{{{AT},queue="mail"}}'
UP = f"up{{{AT}}}"
WORKER = f"taskbridge_worker_up{{{AT}}}"
WANTED, ALIVE = (f'taskbridge_worker_processes{{{AT},group="g",state="{state}"}}' for state in ("wanted", "alive"))
NOBODY, SOMEBODY = (f'taskbridge_relay_leader{{{AT},owner="{owner}"}}' for owner in ("", "w1.1"))
LAG = f"taskbridge_relay_lag_seconds{{{AT}}}"
STORE = f"taskbridge_store_up{{{AT}}}"
BROKER = f'taskbridge_broker_up{{{AT},backend="celery",broker="redis"}}'
QUICK, SLOW, ALL = (f'taskbridge_store_trip_seconds_bucket{{{AT},le="{le}"}}' for le in ("0.001", "0.1", "+Inf"))

OF_QUEUE = {"job": "bank", "backend": "celery", "queue": "mail"}
OF_TASK = {"job": "bank", "backend": "celery", "task": "bank.mail"}
OF_BANK = {"job": "bank"}


@dataclass(frozen=True, slots=True)
class Case:
    """``labels`` and ``summary`` are those of the alert that fires; without, none of the name may."""

    alert: str
    why: str
    series: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    minute: int = 30


def _fires(
    alert: str, why: str, series: dict[str, str], labels: dict[str, str], summary: str, minute: int = 30
) -> Case:
    return Case(f"Taskbridge{alert}", why, series, labels, summary, minute)


def _quiet(alert: str, why: str, series: dict[str, str], minute: int = 30) -> Case:
    return Case(f"Taskbridge{alert}", why, series, minute=minute)


CASES = (
    _fires("NotKeepingUp", "60 more a minute wait, and 60 are begun", {LENGTH: "0+60x30", STARTED: "0+60x30"}, OF_QUEUE,
           "Workers do not keep up with queue mail on celery"),
    _fires("NotKeepingUp", "nothing is begun", {LENGTH: "5+1x30"}, OF_QUEUE,
           "Workers do not keep up with queue mail on celery"),
    _quiet("NotKeepingUp", "much waits, but less and less", {LENGTH: "9000-60x30", STARTED: "0+60x30"}),
    _quiet("NotKeepingUp", "it grows by one in a hundred", {LENGTH: "9000+6x30", STARTED: "0+600x30"}),
    _quiet("NotKeepingUp", "it grows, and is done within seconds", {LENGTH: "0+600x30", STARTED: "0+6000x30"}, 9),
    _fires("OldestMessageTooOld", "six minutes", {OLDEST: "0x10 360x20"}, {**OF_QUEUE, "severity": "critical"},
           "A message has waited 6m 0s in queue mail on celery"),
    _fires("OldestMessageTooOld", "its gauge is shown by nobody for a while", {OLDEST: "360x9 stale 360x3"},
           {**OF_QUEUE, "severity": "critical"}, "A message has waited 6m 0s in queue mail on celery", 11),
    _quiet("OldestMessageTooOld", "four minutes", {OLDEST: "240x30"}),
    _quiet("OldestMessageTooOld", "six minutes, for a minute", {OLDEST: "0x29 360x1"}),
    _fires("QueueUnserved", "no worker announces it", {LENGTH: "7x30"}, {**OF_QUEUE, "severity": "critical"},
           "Nobody serves queue mail on celery"),
    _quiet("QueueUnserved", "there is a process", {LENGTH: "7x30", SERVING: "1x30"}),
    _quiet("QueueUnserved", "an engine's own command serves it", {LENGTH: "7x30", STARTED: "0+1x30"}),
    _quiet("QueueUnserved", "nothing waits", {LENGTH: "0x30"}),
    _fires("FailureRatio", "one of five", {SUCCEEDED: "0+8x30", FAILED: "0+2x30"},
           OF_TASK, "20% of the messages of bank.mail on celery fail for good"),
    _fires("FailureRatio", "all", {FAILED: "0+8x30"}, OF_TASK,
           "100% of the messages of bank.mail on celery fail for good"),
    _quiet("FailureRatio", "each at first, and succeeds then",
           {STARTED: "0+80x30", RETRIED: "0+40x30", SUCCEEDED: "0+40x30"}),
    _quiet("FailureRatio", "one of twenty", {SUCCEEDED: "0+38x30", FAILED: "0+2x30"}),
    _quiet("FailureRatio", "all of ten", {STARTED: "0+1x30", FAILED: "0+1x30"}),
    _fires("AttemptsFailing", "all, made again", {STARTED: "0+40x30", RETRIED: "0+40x30"},
           OF_TASK, "100% of the attempts of bank.mail on celery fail"),
    _fires("AttemptsFailing", "nineteen of twenty, some given up",
           {STARTED: "0+40x30", RETRIED: "0+34x30", FAILED: "0+4x30", SUCCEEDED: "0+2x30"},
           OF_TASK, "95% of the attempts of bank.mail on celery fail"),
    _fires("AttemptsFailing", "the far side is down since nine minutes",
           {STARTED: "0+40x30", RETRIED: "0x21 0+40x9", SUCCEEDED: "0+40x21 840x9"},
           OF_TASK, "100% of the attempts of bank.mail on celery fail"),
    _quiet("AttemptsFailing", "each at first, and succeeds then",
           {STARTED: "0+80x30", RETRIED: "0+40x30", SUCCEEDED: "0+40x30"}),
    _quiet("AttemptsFailing", "each four times, and succeeds then",
           {STARTED: "0+50x30", RETRIED: "0+40x30", SUCCEEDED: "0+10x30"}),
    _quiet("AttemptsFailing", "all of five", {STARTED: "0+1x30", RETRIED: "0+1x30"}),
    _fires("DeadLettersGrowing", "one, ten minutes ago", {DEAD: "5x20 6x10"}, {"job": "bank", "queue": "mail"},
           "New dead letters of queue mail: 1"),
    _quiet("DeadLettersGrowing", "as many as before", {DEAD: "5x30"}),
    _quiet("DeadLettersGrowing", "one, twenty minutes ago", {DEAD: "5x10 6x20"}),
    _quiet("DeadLettersGrowing", "some were replayed", {DEAD: "5x20 2x10"}),
    _fires("WorkerGone", "it was scraped before", {UP: "1x20 0x10", WORKER: "1x20 stale"},
           {"job": "bank", "instance": "w1"}, "The worker at w1 does not answer"),
    _quiet("WorkerGone", "it is a database", {UP: "1x20 0x10"}),
    _quiet("WorkerGone", "it was restarted within a minute", {UP: "1x28 0x1 1x1", WORKER: "1x28 stale 1x1"}),
    _fires("NoWorkers", "the only one is gone, from the targets, too", {WORKER: "1x20 stale"},
           {**OF_BANK, "severity": "critical"}, "No worker of bank answers"),
    _quiet("NoWorkers", "another answers",
           {WORKER: "1x20 stale", WORKER.replace("w1", "w2"): "1x30"}),
    _fires("ProcessesMissing", "three of four", {WANTED: "4x30", ALIVE: "4x10 3x20"},
           {"job": "bank", "instance": "w1", "group": "g"}, "Processes of group g at w1 are missing: 1"),
    _quiet("ProcessesMissing", "for as long as it takes to replace one", {WANTED: "4x30", ALIVE: "4x28 3x2"}),
    _fires("RelayWithoutLeader", "nobody", {NOBODY: "0x30"}, {**OF_BANK, "severity": "critical"},
           "No relay of bank leads"),
    _quiet("RelayWithoutLeader", "somebody", {SOMEBODY: "1x30"}),
    _quiet("RelayWithoutLeader", "a change of leader", {SOMEBODY: "1x28 stale 1x1", NOBODY: "_x29 0 stale"}, 29),
    _fires("RelayLate", "a minute", {LAG: "60x30"}, OF_BANK, "The relay of bank is 1m 0s late"),
    _quiet("RelayLate", "a second", {LAG: "1x30"}),
    _fires("StoreSlow", "one of ten takes 0.1 s", {QUICK: "0+90x30", SLOW: "0+100x30", ALL: "0+100x30"},
           OF_BANK, "The store of bank is slow"),
    _quiet("StoreSlow", "all take a millisecond", {QUICK: "0+100x30", SLOW: "0+100x30", ALL: "0+100x30"}),
    _fires("StoreAway", "one process does not reach it", {STORE: "0x30", STORE.replace("w1", "w2"): "1x30"},
           {**OF_BANK, "severity": "critical"}, "Processes of bank do not reach the store: 1"),
    _quiet("StoreAway", "it is there", {STORE: "1x30"}),
    _fires("BrokerAway", "nobody reaches it", {BROKER: "0x30"},
           {"job": "bank", "backend": "celery", "broker": "redis", "severity": "critical"},
           "The broker redis of celery does not answer"),
    _quiet("BrokerAway", "one process does not reach it", {BROKER: "0x30", BROKER.replace("w1", "w2"): "1x30"}),
)  # fmt: skip
