"""The dashboard of one task: what it does on each engine, side by side."""

from __future__ import annotations

from .dashboard import Dashboard, Row, Variable
from .overview import ENGINE, failing
from .panels import Graph, Heat, Number, Query
from .queries import Scope

RUN, WAIT = "taskbridge_run_seconds", "taskbridge_queue_seconds"

SHARES = (0.5, 0.95, 0.99)

GOOD = {"outcome": "succeeded"}


def one_task(label: str) -> Dashboard:
    """Return it.

    Args:
        label: of a scraped target, says whose namespace it serves.
    """
    one = f'{label}=~"$namespace"'
    of_task = f'taskbridge_started_total{{{one},task=~"$task"}}'
    work = Scope(label, ("backend", "queue", "task"))
    return Dashboard(
        uid="taskbridge-task",
        title="taskbridge / one task",
        says="How often a task runs, how long it takes and waits, and how it fails: on each engine, side by side.",
        variables=(
            Variable("namespace", "Namespace", "taskbridge_store_up", label),
            Variable("task", "Task", f"taskbridge_started_total{{{one}}}", "task", many=False),
            Variable("backend", "Backend", of_task, "backend"),
            Variable("queue", "Queue", of_task, "queue"),
        ),
        rows=(now(work), keeping_up(work, Scope(label, ("queue", "task"))), run_time(work), waiting(work), wrong(work)),
        hours=6,
    )


def now(work: Scope) -> Row:
    begun = f"sum(rate({work.of('taskbridge_started_total')}[5m]))"
    failed = f"sum(increase({work.of('taskbridge_failed_total')}[$__range])) or vector(0)"
    every = f"sum(rate({work.of(f'{RUN}_count')}[5m]))"
    bad = f"sum(rate({work.of(f'{RUN}_count', outcome='failed|retried')}[5m]))"
    return Row("$task", (
        Number(title="Begun", says="Attempts a second, of five minutes.", unit="ops", wide=4, queries=(Query(begun),)),
        Number(title="Run time, p95", says="Of attempts that succeed, of five minutes.", unit="s", wide=4,
               queries=(Query(work.quantile(0.95, RUN, "", window="5m", **GOOD)),)),
        Number(title="Wait, p95", says="From due to begun, of five minutes.", unit="s", wide=4,
               queries=(Query(work.quantile(0.95, WAIT, "", window="5m")),)),
        Number(title="Attempts that fail", says="The share of five minutes.", unit="percentunit", wide=4, red_from=0.1,
               queries=(Query(f"({bad} or 0 * {every}) / {every}"),)),
        Number(title="Failed in this time", says="Messages that went to the dead letters.", unit="short", wide=4,
               red_from=1, queries=(Query(failed),)),
        Number(title="Processes it needs", says="Seconds of run time a second, of five minutes.", unit="short", wide=4,
               queries=(Query(f"sum(rate({work.of(f'{RUN}_sum')}[5m]))"),)),
    ))  # fmt: skip


def keeping_up(work: Scope, of_runs: Scope) -> Row:
    per_second = Scope(work.label).most("taskbridge_limit_per_second", "limit", limit="$task")
    share = (
        f"{work.rate('taskbridge_started_total', 'task')}"
        f' / on (task) label_replace({per_second}, "task", "$1", "limit", "(.+)")'
    )
    done, total = (of_runs.most(f"taskbridge_run_{name}", "run") for name in ("done", "total"))
    return Row("Do the workers keep up?", (
        Graph(title="Sent", says="Messages enqueued a second, by where they went.", unit="ops",
              queries=(Query(work.rate("taskbridge_sent_total", "backend"), ENGINE),)),
        Graph(title="Begun", says="Attempts a second.", unit="ops",
              queries=(Query(work.rate("taskbridge_started_total", "backend"), ENGINE),)),
        Graph(title="Succeeded", says="A second.", unit="ops",
              queries=(Query(work.rate("taskbridge_succeeded_total", "backend"), ENGINE),)),
        Graph(title="Processes it keeps busy", says="Seconds of run time a second.", unit="short",
              queries=(Query(work.rate(f"{RUN}_sum", "backend"), ENGINE),)),
        Graph(title="Share of its rate limit", says="Of a limit without a name or a key of its own.",
              unit="percentunit", queries=(Query(share, "used"),)),
        Graph(title="Its runs", says="How much of each run of a chunked task is done.", unit="percentunit", most=1,
              queries=(Query(f"{done} / {total}", "{{run}}"),)),
    ))  # fmt: skip


def run_time(work: Scope) -> Row:
    week = work.quantile(0.95, RUN, "backend", window="1h", offset="1w", **GOOD)
    return Row("How does run time degrade?", (
        Graph(title="Run time on $backend", says="What so many of 100 attempts that succeed do not exceed.", unit="s",
              wide=24, repeat="backend", queries=_quantiles(work, RUN, **GOOD)),
        Heat(title="Run times on $backend", says="How many attempts took how long, whatever became of them.", unit="s",
             wide=24, repeat="backend", queries=(Query(work.buckets(RUN)),)),
        Graph(title="Run time, p95 of an hour, and a week before", says="A line that leaves the one of a week ago.",
              unit="s", wide=12, queries=(
                  Query(work.quantile(0.95, RUN, "backend", window="1h", **GOOD), ENGINE),
                  Query(week, f"{ENGINE} a week ago"))),
        Graph(title="Run time, mean by outcome", says="What fails quickly or late.", unit="s", wide=12,
              queries=(Query(work.mean(RUN, "backend, outcome"), f"{ENGINE} {{{{outcome}}}}"),)),
    ))  # fmt: skip


def waiting(work: Scope) -> Row:
    by, called = "backend, for", f"{ENGINE} {{{{for}}}}"
    return Row("How long does it wait?", (
        Graph(title="Wait on $backend", says="From due to begun: what so many of 100 do not exceed.", unit="s",
              wide=24, repeat="backend", queries=_quantiles(work, WAIT)),
        Heat(title="Waits on $backend", says="How many attempts waited how long.", unit="s", wide=24, repeat="backend",
             queries=(Query(work.buckets(WAIT)),)),
        Graph(title="Wait for locks and limits, p95", says="In the store, where it holds no worker.", unit="s", wide=12,
              queries=(Query(work.quantile(0.95, "taskbridge_parked_seconds", by), called),)),
        Graph(title="Put aside to wait", says="For a lock or a limit, a second.", unit="ops", wide=12,
              queries=(Query(work.rate("taskbridge_parked_total", by), called),)),
    ))  # fmt: skip


def wrong(work: Scope) -> Row:
    late = {"refused claims": "taskbridge_claims_refused_total", "rejected": "taskbridge_rejected_total"}
    late |= {"rescheduled": "taskbridge_rescheduled_total"}
    return Row("What goes wrong?", (
        Graph(title="Attempts that fail", says="A share of all; those that will be made again are counted, too.",
              unit="percentunit", queries=(Query(failing(work, "backend"), ENGINE),)),
        _by(work, "Failed", "Messages that went to the dead letters, a second.", "failed", "exception"),
        _by(work, "Made again", "Attempts that failed and are made again, a second.", "retried", "exception"),
        _by(work, "Ended without a result", "Expired, skipped, dropped or purged, a second.", "revoked", "how"),
        _by(work, "Repeats", "Copies that were recognised and not run, a second.", "repeats", "verdict"),
        Graph(title="Too late, unknown, later", says="Results that came when another worker had the claim, messages"
              " that this release does not know, and runs that asked for a later one.", unit="ops",
              queries=tuple(Query(work.rate(name, "backend"), f"{ENGINE} {word}") for word, name in late.items())),
    ))  # fmt: skip


def _by(work: Scope, title: str, says: str, word: str, label: str) -> Graph:
    query = Query(work.rate(f"taskbridge_{word}_total", f"backend, {label}"), f"{ENGINE} {{{{{label}}}}}")
    return Graph(title=title, says=says, unit="ops", queries=(query,))


def _quantiles(work: Scope, name: str, **only: str) -> tuple[Query, ...]:
    return tuple(Query(work.quantile(share, name, "", **only), f"p{share * 100:g}") for share in SHARES)
