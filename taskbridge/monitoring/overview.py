"""The dashboard of everything: both engines side by side, and the three questions that it answers.

Do the workers keep up? How does run time degrade? How long do tasks wait in the queue?
"""

from __future__ import annotations

from .dashboard import Dashboard, Row, Variable
from .panels import Graph, Heat, Number, Query, Table
from .queries import Scope, top

ENGINE = "{{backend}}"
QUEUE = "{{queue}}"
TASK = "{{task}}"

#: The other dashboard, of the task in this cell.
TO_TASK = (
    "/d/taskbridge-task?var-task=${__value.raw:percentencode}&var-datasource=${datasource}&${namespace:queryparam}"
)


def overview(label: str) -> Dashboard:
    """Return it.

    Args:
        label: of a scraped target, says whose namespace it serves.
    """
    one = f'{label}=~"$namespace"'
    return Dashboard(
        uid="taskbridge-overview",
        title="taskbridge / overview",
        says="Do the workers keep up, how does run time degrade, how long do tasks wait: both engines side by side.",
        variables=(
            Variable("namespace", "Namespace", "taskbridge_store_up", label),
            Variable("backend", "Backend", f"taskbridge_queue_length{{{one}}}", "backend"),
            Variable("queue", "Queue", f"taskbridge_queue_length{{{one}}}", "queue"),
        ),
        rows=(now(label), keeping_up(label), run_time(label), waiting(label), wrong(label), machinery(label)),
    )


def now(label: str) -> Row:
    here, stored, queued = Scope(label), Scope(label, ("queue",)), Scope(label, ("backend", "queue"))
    firing = f'count(ALERTS{{alertname=~"Taskbridge.*",alertstate="firing",{label}=~"$namespace"}}) or vector(0)'
    up, leads = {"0": "away", "1": "up"}, {"0": "none", "1": "leads"}
    alive = Query(f"sum({here.of('taskbridge_worker_processes', state='alive')})")
    return Row("Now", (
        Number(title="Alerts", says="Of taskbridge's rules, firing now.", unit="short", red_from=1,
               queries=(Query(firing),)),
        Number(title="Store", says="Whether every process reaches it.", unit="short", red_below=1, words=up,
               queries=(Query(f"min({here.of('taskbridge_store_up')})"),)),
        Number(title="Relay", says="Whether one leads: without, nothing that is delayed goes on.", unit="short",
               red_below=1, words=leads, queries=(Query(here.most("taskbridge_relay_leader", "")),)),
        Number(title="Processes", says="That run tasks, of all workers.", unit="short", red_below=1, queries=(alive,)),
        Number(title="Running", says="Messages that are being run.", unit="short",
               queries=(Query(f"{queued.in_all('taskbridge_running', 'backend, queue')} or vector(0)"),)),
        Number(title="Waiting", says="Messages that wait at the brokers for a worker.", unit="short",
               queries=(Query(queued.in_all("taskbridge_queue_length", "backend, queue")),)),
        Number(title="Oldest", says="How long the oldest of them has waited.", unit="s", red_from=300,
               queries=(Query(queued.most("taskbridge_queue_oldest_age_seconds", "")),)),
        Number(title="Dead letters", says="Wait for somebody: taskbridge dead list.", unit="short", red_from=1,
               queries=(Query(stored.in_all("taskbridge_dead", "queue")),)),
    ))  # fmt: skip


def keeping_up(label: str) -> Row:
    here, work, queued = Scope(label), Scope(label, ("backend", "queue")), Scope(label, ("backend", "queue"))
    busy = f"sum by ({label}, group) (rate({here.of('taskbridge_worker_busy_seconds_total')}[$__rate_interval]))"
    wanted = f"sum by ({label}, group) ({here.of('taskbridge_worker_processes', state='wanted')})"
    return Row("Do the workers keep up?", (
        Graph(title="Sent", says="Messages enqueued a second. Native producers are not counted.", unit="ops",
              queries=(Query(work.rate("taskbridge_sent_total", "backend"), ENGINE),)),
        Graph(title="Succeeded", says="Tasks that have returned, a second. What is sent and does not come here waits,"
              " fails or is dropped.", unit="ops",
              queries=(Query(work.rate("taskbridge_succeeded_total", "backend"), ENGINE),)),
        Graph(title="How busy processes are", says="The share of their time in which they have something to do."
              " Above 0.9 a peak has to wait.", unit="percentunit", most=1,
              queries=(Query(f"{busy} / {wanted}", f"{{{{{label}}}}} {{{{group}}}}"),)),
        Graph(title="Waiting on $backend, by queue", says="Messages at the broker that no worker has taken.",
              unit="short", wide=24, repeat="backend",
              queries=(Query(queued.most("taskbridge_queue_length", "queue"), QUEUE),)),
        Graph(title="Oldest message on $backend, by queue", says="How long it has been due. It grows by a second a"
              " second where nobody takes anything.", unit="s", wide=24, repeat="backend",
              queries=(Query(queued.most("taskbridge_queue_oldest_age_seconds", "queue"), QUEUE),)),
        Graph(title="Processes that tasks keep busy", says="Seconds of run time a second: so many processes are needed"
              " at the least.", unit="short", wide=12,
              queries=(Query(work.rate("taskbridge_run_seconds_sum", "backend"), ENGINE),)),
        Graph(title="Processes that serve", says="As live workers announce them, by queue.", unit="short", wide=12,
              queries=(Query(queued.most("taskbridge_queue_processes", "backend, queue"), f"{ENGINE} {QUEUE}"),)),
    ))  # fmt: skip


def run_time(label: str) -> Row:
    work = Scope(label, ("backend", "queue"))
    run, good = "taskbridge_run_seconds", {"outcome": "succeeded"}
    p95 = work.quantile(0.95, run, "task", window="1h", **good)
    before = work.quantile(0.95, run, "task", window="1h", offset="1w", **good)
    return Row("How does run time degrade?", (
        Graph(title="Run time, p95", says="What 95 of 100 attempts that succeed do not exceed.", unit="s",
              queries=(Query(work.quantile(0.95, run, "backend", **good), ENGINE),)),
        Graph(title="Run time, mean", says="Of all attempts, whatever became of them.", unit="s",
              queries=(Query(work.mean(run, "backend"), ENGINE),)),
        Graph(title="Attempts that fail", says="A share of all; those that will be made again are counted, too.",
              unit="percentunit", queries=(Query(failing(work, "backend"), ENGINE),)),
        Graph(title="Run time on $backend, p95 of the ten slowest tasks", says="What 95 of 100 attempts that succeed"
              " do not exceed.", unit="s", wide=24, repeat="backend",
              queries=(Query(top(10, work.quantile(0.95, run, "task", **good)), TASK),)),
        Table(title="Run time, p95, engines side by side", says="Of the last hour, by task and engine. A task leads to"
              " its own dashboard.", unit="s", wide=12, rows="task", columns="backend", links={"task": TO_TASK},
              queries=(Query(work.quantile(0.95, run, "task, backend", window="1h", **good)),)),
        Graph(title="Run time against a week before", says="The p95 of an hour, divided by that of the same hour a week"
              " ago: above 1 it has become slower. The ten that differ most.", unit="short", wide=12,
              queries=(Query(top(10, f"{p95} / {before}"), TASK),)),
    ))  # fmt: skip


def waiting(label: str) -> Row:
    work, stored, here = Scope(label, ("backend", "queue")), Scope(label, ("queue",)), Scope(label)
    wait = "taskbridge_queue_seconds"
    kept = ("delayed", "ready", "lock_waiting", "throttled", "release_waiting", "held", "paused")
    return Row("How long do tasks wait?", (
        Graph(title="Wait in the queue, p95", says="From due to begun; delay, back-off and locks are not counted.",
              unit="s", queries=(Query(work.quantile(0.95, wait, "backend"), ENGINE),)),
        Heat(title="Waits in the queue", says="How many tasks waited how long.", unit="s",
             queries=(Query(work.buckets(wait)),)),
        Graph(title="Wait for locks and limits, p95", says="In the store, where it holds no worker.", unit="s",
              queries=(Query(work.quantile(0.95, "taskbridge_parked_seconds", "for"), "{{for}}"),)),
        Graph(title="Wait on $backend, p95 by queue", says="From due to begun.", unit="s", wide=24, repeat="backend",
              queries=(Query(work.quantile(0.95, wait, "queue"), QUEUE),)),
        Graph(title="Kept by the store", says="Not yet at a broker: due later, ready to be published, waiting for a"
              " lock, a limit, a newer worker or an operator, or chunks that rest.", unit="short", wide=12,
              queries=tuple(Query(stored.in_all(f"taskbridge_{name}", "queue"), name) for name in kept)),
        Graph(title="Waiting at rate limits", says="Messages and code, by limit.", unit="short", wide=12,
              queries=(Query(here.most("taskbridge_limit_waiting", "limit"), "{{limit}}"),)),
    ))  # fmt: skip


def wrong(label: str) -> Row:
    work, stored = Scope(label, ("backend", "queue")), Scope(label, ("queue",))
    odd = {"repeats": "taskbridge_repeats_total", "refused claims": "taskbridge_claims_refused_total"}
    odd |= {"rejected": "taskbridge_rejected_total"}
    return Row("What goes wrong?", (
        Graph(title="Failed, by exception", says="Messages that went to the dead letters, a second.", unit="ops",
              queries=(Query(top(10, work.rate("taskbridge_failed_total", "exception")), "{{exception}}"),)),
        Graph(title="Dead letters", says="That wait for somebody, by queue.", unit="short",
              queries=(Query(stored.most("taskbridge_dead", "queue"), QUEUE),)),
        Table(title="Failed in this time", says="By task, engine and exception. A task leads to its own dashboard.",
              unit="short", links={"task": TO_TASK}, heads={"Value": "failed"},
              queries=(Query(f"{work.gained('taskbridge_failed_total', 'task, backend, exception')} > 0"),)),
        Graph(title="Attempts made again", says="After a failure, a second.", unit="ops",
              queries=(Query(work.rate("taskbridge_retried_total", "backend"), ENGINE),)),
        Graph(title="Ended without a result", says="Expired, skipped, dropped or purged, a second.", unit="ops",
              queries=(Query(work.rate("taskbridge_revoked_total", "backend, how"), f"{ENGINE} {{{{how}}}}"),)),
        Graph(title="Repeats", says="Copies that were recognised and not run, results that came too late, and messages"
              " that this release does not know.", unit="ops",
              queries=tuple(Query(work.rate(name, "backend"), f"{ENGINE} {word}") for word, name in odd.items())),
    ))  # fmt: skip


def machinery(label: str) -> Row:
    here, of_queue, trip = Scope(label), Scope(label, ("queue",)), "taskbridge_store_trip_seconds"
    done, total = (of_queue.most(f"taskbridge_run_{name}", "task, run") for name in ("done", "total"))
    return Row("Store, relay, workers, runs", (
        Graph(title="Round trips to the store", says="A task makes one or two. On one machine one takes 0.1 ms, to the"
              " next zone 1 ms.", unit="s",
              queries=tuple(Query(here.quantile(share, trip, ""), f"p{share * 100:g}") for share in (0.5, 0.99))),
        Graph(title="Relay's lag", says="How late what is due is published: at most a second while all is well.",
              unit="s", queries=(Query(here.most("taskbridge_relay_lag_seconds", label), f"{{{{{label}}}}}"),)),
        Graph(title="Processes replaced", says="In the last ten minutes, by reason.", unit="short", queries=(
            Query(f"sum by (reason) (increase({here.of('taskbridge_worker_replaced_total')}[10m]))", "{{reason}}"),)),
        Graph(title="Runs of chunked tasks", says="How much is done; none where nobody knows how much there is.",
              unit="percentunit", most=1, wide=12,
              queries=(Query(f"{done} / {total}", "{{task}} {{run}}"),)),
        Graph(title="Claims and batches", says="Claims that stand, of messages that run and of code that holds a lock"
              " or a limit; batches with members that have not ended.", unit="short", wide=12,
              queries=(Query(here.most("taskbridge_claims", label), f"{{{{{label}}}}} claims"),
                       Query(here.most("taskbridge_batches_open", label), f"{{{{{label}}}}} batches"))),
    ))  # fmt: skip


def failing(scope: Scope, by: str) -> str:
    """The share of attempts that fail, of those that ran: 0 where none does."""
    failed = scope.rate("taskbridge_run_seconds_count", by, outcome="failed|retried")
    every = scope.rate("taskbridge_run_seconds_count", by)
    return f"({failed} or 0 * {every}) / {every}"
