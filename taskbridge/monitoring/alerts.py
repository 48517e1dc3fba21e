"""What is wrong, in PromQL. docs/alerts.md has a heading for each alert.

``$by`` is the label that says whose namespace a target serves. Gauges of the store are shown by one process, and for
90 s by none when that one ends: queries of what may last look two minutes back.
"""

from __future__ import annotations

from .rules import Alert, Record

RECORDS = (
    Record(
        "queue:taskbridge_queue_length:max",
        "max by ($by, backend, queue) (last_over_time(taskbridge_queue_length[2m]))",
    ),
    Record(
        "queue:taskbridge_queue_oldest_age_seconds:max",
        "max by ($by, backend, queue) (last_over_time(taskbridge_queue_oldest_age_seconds[2m]))",
    ),
    Record(
        "queue:taskbridge_queue_processes:max",
        "max by ($by, backend, queue) (last_over_time(taskbridge_queue_processes[2m]))",
    ),
    Record(
        "queue:taskbridge_started:rate10m",
        "sum by ($by, backend, queue) (rate(taskbridge_started_total[10m]))\nor 0 * queue:taskbridge_queue_length:max",
    ),
    Record(
        "queue:taskbridge_dead:max",
        "max by ($by, queue) (last_over_time(taskbridge_dead[2m]))",
    ),
    Record(
        "queue:taskbridge_dead:growth15m",
        "queue:taskbridge_dead:max - min_over_time(queue:taskbridge_dead:max[15m])",
    ),
    Record(
        "task:taskbridge_failed:increase10m",
        "sum by ($by, backend, task) (increase(taskbridge_failed_total[10m]))",
    ),
    Record(
        "task:taskbridge_ended:increase10m",
        "sum by ($by, backend, task) (increase(taskbridge_succeeded_total[10m])) + task:taskbridge_failed:increase10m\n"
        "or task:taskbridge_failed:increase10m",
    ),
    Record(
        "task:taskbridge_failed:ratio10m",
        "task:taskbridge_failed:increase10m / (task:taskbridge_ended:increase10m > 0)",
    ),
    Record(
        "task:taskbridge_started:increase5m",
        "sum by ($by, backend, task) (increase(taskbridge_started_total[5m]))",
    ),
    Record(
        "task:taskbridge_failed_attempts:increase5m",
        "sum by ($by, backend, task) (increase(taskbridge_failed_total[5m]))\n"
        "+ sum by ($by, backend, task) (increase(taskbridge_retried_total[5m]))\n"
        "or sum by ($by, backend, task) (increase(taskbridge_failed_total[5m]))\n"
        "or sum by ($by, backend, task) (increase(taskbridge_retried_total[5m]))",
    ),
    Record(
        "task:taskbridge_failed_attempts:ratio5m",
        "task:taskbridge_failed_attempts:increase5m / (task:taskbridge_started:increase5m > 0)",
    ),
    Record(
        "namespace:taskbridge_store_trip_seconds:p99_5m",
        "histogram_quantile(0.99, sum by ($by, le) (rate(taskbridge_store_trip_seconds_bucket[5m])))",
    ),
)

ALERTS = (
    Alert(
        name="TaskbridgeNotKeepingUp",
        query="deriv(queue:taskbridge_queue_length:max[10m]) > $growth * queue:taskbridge_started:rate10m\n"
        "and queue:taskbridge_queue_length:max > $behind * queue:taskbridge_started:rate10m",
        lasts="5m",
        severity="warning",
        summary="Workers do not keep up with queue {{ $labels.queue }} on {{ $labels.backend }}",
        description="It grows by {{ $value | humanize }} messages a second; more than $behind s of work waits in it.",
    ),
    Alert(
        name="TaskbridgeOldestMessageTooOld",
        query="$too_old",
        lasts="2m",
        severity="critical",
        summary="A message has waited {{ $value | humanizeDuration }} in queue {{ $labels.queue }}"
        " on {{ $labels.backend }}",
        description="It is due, and no worker has taken it: delays, locks and limits are not counted.",
    ),
    Alert(
        name="TaskbridgeQueueUnserved",
        query="queue:taskbridge_queue_length:max > 0\n"
        "unless queue:taskbridge_queue_processes:max > 0\n"
        "unless queue:taskbridge_started:rate10m > 0",
        lasts="5m",
        severity="critical",
        summary="Nobody serves queue {{ $labels.queue }} on {{ $labels.backend }}",
        description="Messages that wait there: {{ $value }}. No live worker announces the queue, and none was begun.",
    ),
    Alert(
        name="TaskbridgeFailureRatio",
        query="($fails_too_often)\nand task:taskbridge_ended:increase10m >= $attempts",
        lasts="2m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the messages of {{ $labels.task }} on {{ $labels.backend }}"
        " fail for good",
        description="They are among the dead letters. Attempts that were made again, and have succeeded, do not count.",
    ),
    Alert(
        name="TaskbridgeAttemptsFailing",
        query="($tries_in_vain)\nand task:taskbridge_started:increase5m >= $attempts",
        lasts="2m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the attempts of {{ $labels.task }} on {{ $labels.backend }} fail",
        description="Hardly any succeeds, those that are made again included: what it needs is down.",
    ),
    Alert(
        name="TaskbridgeDeadLettersGrowing",
        query="$too_many_dead",
        lasts="0s",
        severity="warning",
        summary="New dead letters of queue {{ $labels.queue }}: {{ $value }}",
        description="Retries are used up, or nobody can read them. They wait for somebody to replay or purge them.",
    ),
    Alert(
        name="TaskbridgeWorkerGone",
        query="up == 0 and on ($by, instance) last_over_time(taskbridge_worker_up[1d])",
        lasts="2m",
        severity="warning",
        summary="The worker at {{ $labels.instance }} does not answer",
        description="Prometheus was answered by it within the last day. What it was running is run by others.",
    ),
    Alert(
        name="TaskbridgeNoWorkers",
        query="group by ($by) (last_over_time(taskbridge_worker_up[1d]))\nunless group by ($by) (taskbridge_worker_up)",
        lasts="2m",
        severity="critical",
        summary="No worker of {{ $labels.$by }} answers",
        description="There was one within the last day. Nothing runs, nothing that is delayed becomes due, and depths"
        " are not shown.",
    ),
    Alert(
        name="TaskbridgeProcessesMissing",
        query='sum by ($by, instance, group) (taskbridge_worker_processes{state="wanted"})\n'
        '- sum by ($by, instance, group) (taskbridge_worker_processes{state="alive"}) > 0',
        lasts="5m",
        severity="warning",
        summary="Processes of group {{ $labels.group }} at {{ $labels.instance }} are missing: {{ $value }}",
        description="Its supervisor cannot bring them up: they end as they start, or the machine has no room.",
    ),
    Alert(
        name="TaskbridgeRelayWithoutLeader",
        query="max by ($by) (taskbridge_relay_leader) == 0",
        lasts="1m",
        severity="critical",
        summary="No relay of {{ $labels.$by }} leads",
        description="Nothing that is delayed, retried, scheduled or waits for a lock or a limit goes on.",
    ),
    Alert(
        name="TaskbridgeRelayLate",
        query="max by ($by) (taskbridge_relay_lag_seconds) > $relay_lag",
        lasts="2m",
        severity="warning",
        summary="The relay of {{ $labels.$by }} is {{ $value | humanizeDuration }} late",
        description="What was due is not published yet: a broker is away or full, or more is due than it can publish.",
    ),
    Alert(
        name="TaskbridgeStoreSlow",
        query="namespace:taskbridge_store_trip_seconds:p99_5m > $store_p99",
        lasts="5m",
        severity="warning",
        summary="The store of {{ $labels.$by }} is slow",
        description="One trip of a hundred takes {{ $value | humanizeDuration }} or more; a task makes one or two.",
    ),
    Alert(
        name="TaskbridgeStoreAway",
        query="count by ($by) (taskbridge_store_up == 0) > 0",
        lasts="1m",
        severity="critical",
        summary="Processes of {{ $labels.$by }} do not reach the store: {{ $value }}",
        description="They begin no task until it is back; nothing is lost.",
    ),
    Alert(
        name="TaskbridgeBrokerAway",
        query="max by ($by, backend, broker) (taskbridge_broker_up) == 0",
        lasts="1m",
        severity="critical",
        summary="The broker {{ $labels.broker }} of {{ $labels.backend }} does not answer",
        description="Nothing is enqueued there and no worker takes anything from it until it is back.",
    ),
)
