"""``taskbridge migrate``: a share that is moved by hand, and everything that is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.clock import SystemClock
from taskbridge.evidence.buckets import bucket_of
from taskbridge.message import new_id
from taskbridge.migration.changes import book_now
from taskbridge.operations import migration as work
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.testing import a_message
from tests.servers import until

from .conftest import Cli
from .ptys import Pty

KNOWN = {
    "app.send_report": Known(queue="emails", tags=("reports",), positional=("user_id", "day")),
    "app.boom": Known(queue="slow", positional=("text",)),
    "bank.pay": Known(queue="emails", tags=("payments",), positional=("user_id",)),
}
TASKS = {"app.send_report": ["day", "user_id"], "app.boom": ["text"], "bank.pay": ["user_id"]}
START = ("migrate", "start", "--from", "celery", "--to", "dramatiq")


def worker(bridge: Bridge, *backends: str, name: str = "w", **changes: Any) -> None:
    """Let a worker live."""
    fields: dict[str, Any] = {"queues": ["emails", "slow"], "processes": 2, "tasks": TASKS, "known": KNOWN}
    announce(bridge.store, Announcement(name=name, backends=list(backends), **(fields | changes)))


@pytest.fixture
def live(bridge: Bridge) -> Bridge:
    """Both engines are served."""
    worker(bridge, "celery", "dramatiq")
    return bridge


def rules(cli: Cli) -> dict[str, tuple[str, float, str]]:
    """All but those that leave the rest where it is."""
    found = [one for one in cli.json("routes", "list")["rules"] if not one["id"].endswith(".rest")]
    return {one["id"]: (one["task"] or one["queue"], one["share"], one["to"]) for one in found}


def refused(cli: Cli, *words: str, code: int = 1) -> str:
    result = cli(*words)
    assert code == result.exit_code, result.output
    return result.stderr


@pytest.mark.usefixtures("live")
def test_share_is_moved_and_taken_back(cli: Cli):
    """From nothing to some, to the whole, to nothing; each step is kept with who and why."""
    started = cli(*START, "--tasks", "bank.*,app.boom", "--note", "TICKET-7")
    assert (
        "m1: task bank.*, task app.boom from celery to dramatiq\n"
        "it moves 2 of 3 known tasks: app.boom, bank.pay\n"
        "its share is 0 %: `taskbridge migrate share 5` or `migrate ramp` moves it\n"
    ) == started.stdout
    assert {"m1.1": ("bank.*", 0, "dramatiq"), "m1.2": ("app.boom", 0, "dramatiq")} == rules(cli)

    shared = cli("migrate", "share", "2.5", "--note", "first users")
    assert "shared: 2.5 % goes to dramatiq, within a second" in shared.stdout
    assert {"m1.1": ("bank.*", 2.5, "dramatiq"), "m1.2": ("app.boom", 2.5, "dramatiq")} == rules(cli)

    cli("migrate", "share", "100")
    back = cli("migrate", "rollback", "--note", "errors")
    assert "taken back: 0 % goes to dramatiq, within a second" in back.stdout
    assert {0} == {share for _, share, _ in rules(cli).values()}

    (migration,) = cli.json("migrate", "list")["migrations"]
    steps = [(step["what"], step["share"], step.get("why", "")) for step in migration["steps"]]
    assert [
        ("started", 0, "TICKET-7"),
        ("shared", 2.5, "first users"),
        ("shared", 100, ""),
        ("taken back", 0, "errors"),
    ] == steps
    assert all("@" in step["who"] and step["at"].endswith("Z") for step in migration["steps"])


@pytest.mark.parametrize(("side", "unserved"), [("celery", True), ("dramatiq", False)])
def test_what_is_insisted_on_is_what_was_refused(cli: Cli, bridge: Bridge, side: str, unserved: bool):
    """Missing workers are watched for, later, unless it was they whom ``--force`` was for."""
    worker(bridge, side)

    assert 0 == cli(*START, "--force").exit_code
    assert 0 == cli("migrate", "share", "5", "--force").exit_code

    assert unserved is book_now(bridge.store)[1].one().unserved


@pytest.mark.usefixtures("live")
def test_finish_waits_until_producers_have_seen_the_share(cli: Cli, bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """One that still follows the routes of a second ago sends to the old side: it is looked at after that."""
    cli(*START, "--queues", "emails")
    cli("migrate", "share", "100")

    def late(_clock: SystemClock, seconds: float) -> None:
        assert 0 < seconds <= 1.5
        bridge.backend("celery").publish([a_message(queue="emails")])

    monkeypatch.setattr(SystemClock, "sleep", late)

    assert "1 messages lie in emails of celery" in refused(cli, "migrate", "finish")


@pytest.mark.usefixtures("live")
def test_every_task_moves_unless_some_are_named(cli: Cli):
    """Or those of some queues; a dry run changes nothing."""
    dry = cli(*START, "--dry-run")
    assert "it moves 3 of 3 known tasks: app.boom, app.send_report, bank.pay\nnothing was changed\n" in dry.stdout
    assert {} == rules(cli)

    cli(*START, "--queues", "emails", "--key", "{user_id}")

    assert {"m1.1": ("emails", 0, "dramatiq")} == rules(cli)


@pytest.mark.usefixtures("live")
def test_what_leads_nowhere_is_refused(cli: Cli):
    """With the reason, and nothing is written."""
    unknown = refused(cli, "migrate", "start", "--from", "celery", "--to", "dramatik")
    assert "dramatiq" in unknown
    assert "unknown" in unknown or "no backend" in unknown
    assert "are one engine on one broker" in refused(cli, "migrate", "start", "--from", "celery", "--to", "celery")
    assert "no live worker announces the task 'bank.pya'" in refused(cli, *START, "--tasks", "bank.pya")
    assert "tasks or queues, not both" in refused(cli, *START, "--tasks", "bank.*", "--queues", "emails")
    assert "lives in one process" in refused(cli, "migrate", "start", "--from", "celery", "--to", "memory")
    assert "lack arguments of {user_id}" in refused(cli, *START, "--key", "{user_id}")
    assert "share: expected 0 to 100 percent, got 101" in refused(cli, "migrate", "share", "101")
    assert "no migration goes on" in refused(cli, "migrate", "share", "5")
    elsewhere = refused(cli, "migrate", "start", "--from", "dramatiq", "--to", "celery", "--tasks", "bank.*")
    assert "bank.pay go to celery today" in elsewhere
    assert {} == rules(cli)
    assert [] == cli.json("migrate", "list")["migrations"]


def test_target_without_workers_is_refused(cli: Cli, bridge: Bridge):
    """Nobody would take the messages; who insists may begin, and a raised share is asked again."""
    worker(bridge, "celery")
    assert "no live worker serves the backend 'dramatiq'" in refused(cli, *START)

    worker(bridge, "celery", "dramatiq")
    assert 0 == cli(*START).exit_code
    worker(bridge, "celery")
    assert "no live worker serves the backend 'dramatiq'" in refused(cli, "migrate", "share", "5")
    assert "no live worker serves the backend 'dramatiq'" in refused(cli, "migrate", "ramp")
    assert not cli.json("migrate", "list")["migrations"][0]["unserved"]
    assert 0 == cli("migrate", "share", "5", "--force").exit_code
    assert cli.json("migrate", "list")["migrations"][0]["unserved"], "nor does a ramp wait for them"
    assert 0 == cli("migrate", "share", "1").exit_code


def test_target_that_cannot_keep_a_timeout_is_refused(cli: Cli, bridge: Bridge):
    """Nobody can insist on that."""
    known = KNOWN | {"bank.pay": Known(queue="emails", hard_timeout_ms=5_000)}
    worker(bridge, "celery", "memory", known=known)

    assert "lives in one process" in refused(cli, "migrate", "start", "--from", "celery", "--to", "memory", "--force")


@pytest.mark.usefixtures("live")
def test_one_migration_at_a_time_for_a_task(cli: Cli):
    """Others may go on beside it; then each is named."""
    cli(*START, "--tasks", "bank.*")
    for words in (["--tasks", "bank.pay"], ["--tasks", "*"], ["--queues", "emails"], []):
        assert "m1: task bank.* from celery to dramatiq goes on, and moves some of the same" in refused(
            cli, *START, *words
        )
        assert 1 == cli(*START, *words, "--force").exit_code

    assert 0 == cli(*START, "--tasks", "app.boom").exit_code
    assert "several migrations go on; say which by --id" in refused(cli, "migrate", "share", "5")
    cli("migrate", "share", "5", "--id", "m2")
    assert {"m1.1": ("bank.*", 0, "dramatiq"), "m2.1": ("app.boom", 5, "dramatiq")} == rules(cli)


@pytest.mark.usefixtures("live")
def test_ramp_is_planned_paused_and_resumed(cli: Cli):
    """The relay takes the steps; those that are reached are left out."""
    cli(*START)
    cli("migrate", "share", "5")

    ramp = cli("migrate", "ramp", "--steps", "1,5,25,100", "--hold", "5m", "--max-error-ratio", "1.1")

    assert "the relay raises it to 25, 100 %, each held for 5 min at least" in ramp.stdout
    (migration,) = cli.json("migrate", "list")["migrations"]
    assert ("ramping", 5, [25, 100], 300_000) == (
        *(migration["state"], migration["share"]),
        *(migration["ramp"]["steps"], migration["ramp"]["hold_ms"]),
    )
    assert 1.1 == migration["ramp"]["bounds"]["max_error_ratio"]
    assert "paused: 5 %" in cli("migrate", "pause").stdout
    assert "only a ramp can be paused" in refused(cli, "migrate", "pause")
    before = cli.json("migrate", "list")["migrations"][0]["ramp"]["since_ms"]
    assert "resumed: 5 %" in cli("migrate", "resume").stdout
    assert before < cli.json("migrate", "list")["migrations"][0]["ramp"]["since_ms"], "its step is held anew"
    assert "only a paused ramp can be resumed" in refused(cli, "migrate", "resume")
    assert "shared: 7 %" in cli("migrate", "share", "7").stdout
    assert "waiting" == cli.json("migrate", "list")["migrations"][0]["state"]


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("words", "why", "code"),
    [
        (["--steps", "5,1"], "expected shares that rise", 1),
        (["--steps", "5,5"], "expected shares that rise", 1),
        (["--steps", "0,5"], "expected shares above 0", 1),
        (["--steps", "5,101"], "expected shares above 0 and up to 100", 1),
        (["--steps", ""], "expected shares that rise", 1),
        (["--steps", "five"], "expected percents such as", 2),
        (["--hold", "19"], "hold: expected 20 s at least", 1),
        (["--hold", "soon"], "hold", 1),
        (["--max-error-ratio", "0.9"], "max_error_ratio: expected a number from 1 up", 1),
        (["--min-samples", "0"], "min_samples: expected a number from 1 up", 1),
        (["--id", "m9"], "no migration is called 'm9'", 1),
    ],
)
def test_ramp_that_cannot_be_is_refused(cli: Cli, words: list[str], why: str, code: int):
    """Nothing moves then."""
    cli(*START)

    assert why in refused(cli, "migrate", "ramp", *words, code=code)

    assert "waiting" == cli.json("migrate", "list")["migrations"][0]["state"]


def test_ramp_behind_its_last_step_is_refused(cli: Cli, live: Bridge):
    """There is nothing to raise."""
    cli(*START)
    cli("migrate", "share", "100")

    assert "has 100 % already: no step of 1,5,25,50,100 is left" in refused(cli, "migrate", "ramp")


def test_migration_is_finished_when_the_old_queues_are_empty(cli: Cli, live: Bridge):
    """At the whole share; its rules stay. Then the tasks are free for another."""
    cli(*START, "--tasks", "bank.*")
    live.external("bank.pay", queue="emails").enqueue(1)
    cli("migrate", "share", "60")
    assert "has 60 %: finish it at 100, or at 0" in refused(cli, "migrate", "finish")
    cli("migrate", "share", "100")
    assert "1 messages lie in emails of celery" in refused(cli, "migrate", "finish")

    finished = cli("migrate", "finish", "--force")

    assert "finished: 100 % goes to dramatiq" in finished.stdout
    assert "`taskbridge routes remove m1.1` takes them out" in finished.stdout
    assert {"m1.1": ("bank.*", 100, "dramatiq")} == rules(cli)
    for words in (["share", "5"], ["rollback"], ["ramp"], ["finish"]):
        assert "is finished; `taskbridge migrate start` begins another" in refused(cli, "migrate", *words, "--id", "m1")
    back = ("migrate", "start", "--from", "dramatiq", "--to", "celery", "--tasks", "bank.*")
    assert "it can never match: 100 % of task bank.* to dramatiq (m1.1) stands before it" in refused(cli, *back)
    cli("routes", "remove", "m1.1")
    cli.set(BACKEND="dramatiq")
    assert 0 == cli(*back).exit_code


@pytest.mark.usefixtures("live")
def test_migration_that_is_given_up_leaves_no_rules(cli: Cli):
    """After it was taken back."""
    cli(*START, "--tasks", "bank.*")
    cli("migrate", "share", "5")
    cli("migrate", "rollback")

    assert "given up: 0 % goes to dramatiq" in cli("migrate", "finish").stdout

    assert {} == rules(cli)
    assert 0 == cli(*START, "--tasks", "bank.*").exit_code


def test_migration_is_not_given_up_while_messages_lie_on_the_new_side(cli: Cli, live: Bridge):
    """Nor finished where it is not known what lies on the old one."""
    cli(*START, "--tasks", "bank.*")
    cli("migrate", "share", "100")
    until(
        lambda: live.external("bank.pay", queue="emails").enqueue(1) and live.backend("dramatiq").depth("emails"),
        20,
        "",
    )
    cli("migrate", "rollback")

    assert "messages lie in emails of dramatiq" in refused(cli, "migrate", "finish")

    cli("purge", "emails", "--yes")
    assert 0 == cli("migrate", "finish").exit_code


def test_migration_is_not_finished_where_its_old_queues_are_not_seen(
    cli: Cli, bridge: Bridge, nowhere: str, tmp_path: Path
):
    """A broker that is away may hold messages."""
    (tmp_path / "taskbridge.toml").write_text(f'[backends.gone]\nengine = "celery"\nbroker_url = "{nowhere}"\n')
    cli.set(CONFIG="taskbridge.toml")
    worker(bridge, "celery", "dramatiq", "gone")
    started = cli("migrate", "start", "--from", "gone", "--to", "dramatiq", "--tasks", "bank.*", "--force")
    assert 0 == started.exit_code, started.output
    cli("migrate", "share", "100")

    told = refused(cli, "migrate", "finish")

    assert "how many messages lie in emails of gone is not known" in told
    assert "hush" not in told


@pytest.mark.usefixtures("live")
def test_share_that_moves_meanwhile_is_not_finished(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    """Somebody takes it back while the old queues are looked at."""
    cli(*START, "--tasks", "bank.*")
    cli("migrate", "share", "100")

    def waits(*_: object) -> list[object]:
        assert 0 == cli("migrate", "rollback").exit_code
        return []

    monkeypatch.setattr(work, "waits", waits)

    assert "has 0 % now: look at `taskbridge migrate status`" in refused(cli, "migrate", "finish")


@pytest.mark.usefixtures("live")
def test_rules_that_do_not_fit_are_refused_before_anything_is_written(cli: Cli):
    """A producer reads the whole table."""
    names = ",".join(f"bank.{n}.{'x' * 180}" for n in range(49))
    key = "{user_id}" + "k" * 180

    told = refused(cli, *START, "--tasks", names, "--key", key, "--force")

    assert "32768 is the most" in told
    assert [] == cli.json("migrate", "list")["migrations"]
    assert "expected at most 100 rules" in refused(
        cli, *START, "--tasks", ",".join(f"b.{n}" for n in range(51)), "--force"
    )


def worked(live: Bridge) -> None:
    """Both sides have ended two hundred attempts of one task, the new one a quarter of them in vain."""
    now_ms = live.store.now_ms()
    live.store.evidence.watch({"bank.pay": now_ms + 60_000})
    at_ms = now_ms // SLICE_MS * SLICE_MS
    slices = [
        Slice(
            task="bank.pay",
            backend=backend,
            at_ms=at_ms,
            succeeded=200 - failed,
            failed=failed,
            ran={bucket_of(run_ms): 200},
            waited={bucket_of(5): 200},
        )
        for backend, failed, run_ms in (("celery", 2, 20), ("dramatiq", 50, 21))
    ]
    live.store.evidence.add(slices, teller=new_id(), turn=1)


def test_status_shows_both_sides(cli: Cli, live: Bridge):
    """What each has ended, how often it failed, how long it ran and waited, and what lies in its queues."""
    cli(*START, "--tasks", "bank.pay")
    cli("migrate", "share", "50")
    worked(live)

    found = cli.json("migrate", "status")
    shown = cli("migrate", "status").stdout

    verdict = found["evidence"]["verdict"]
    assert ("worse", 200, 200) == (verdict["word"], verdict["old_ended"], verdict["new_ended"])
    assert [{"queue": "emails", "old": 0, "new": 0}] == found["waiting"]
    assert (["bank.pay"], 50, "waiting") == (found["tasks"], found["migration"]["share"], found["migration"]["state"])
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "celery dramatiq" in lines
    assert "ended 200 200" in lines
    assert "failed 1.00% 25.00%" in lines
    assert "in emails 0 0" in lines
    assert any(line.startswith("evidence of 5 min: worse: 25.00% of attempts fail") for line in lines)


def test_a_step_that_somebody_takes_is_kept_with_what_was_seen(cli: Cli, live: Bridge):
    """As one of a ramp is: who looks later sees why it was taken back."""
    cli(*START, "--tasks", "bank.pay")
    cli("migrate", "share", "50")
    worked(live)
    cli("migrate", "rollback")

    _, shared, back = cli.json("migrate", "status", code=1)["migration"]["steps"]

    assert ("unsure", 0) == (shared["evidence"]["verdict"]["word"], shared["evidence"]["verdict"]["new_ended"])
    assert ("worse", 200) == (back["evidence"]["verdict"]["word"], back["evidence"]["verdict"]["new_ended"])


@pytest.mark.usefixtures("live")
def test_status_has_no_figure_of_a_side_that_has_done_nothing(cli: Cli):
    """No share of failures and no run time: they would look as good as can be."""
    cli(*START, "--tasks", "bank.pay")

    lines = [" ".join(line.split()) for line in cli("migrate", "status").stdout.splitlines()]

    assert "ended 0 0" in lines
    assert {"failed - -", "run time p95 - -", "time in queue p95 - -"} < set(lines)


@pytest.mark.usefixtures("live")
def test_status_of_what_was_taken_back_is_an_error(cli: Cli):
    """For scripts; and of none there is nothing to show."""
    assert "no migration goes on" in refused(cli, "migrate", "status")
    cli(*START)
    assert 0 == cli("migrate", "status").exit_code
    cli("migrate", "rollback")

    assert 1 == cli("migrate", "status").exit_code
    assert "--watch or --json" in refused(cli, "migrate", "status", "--watch", "--json", code=2)


@pytest.mark.usefixtures("live")
def test_watch_names_both_sides_above_their_figures(cli: Cli):
    """In a terminal, each figure under its backend; Ctrl-C ends the look and is no failure."""
    cli(*START, "--tasks", "bank.pay")

    with Pty(sys.executable, "-m", "taskbridge", "migrate", "status", "--watch") as terminal:
        lines = terminal.sees(lambda text: "in emails" in text, "both sides").splitlines()
        terminal.type("\x03")
        code = terminal.ends()

    assert [0, False] == [code, "Aborted" in terminal.text]
    heads = [line for line in lines if line.split() == ["celery", "dramatiq"]]
    ends = {len(line) for line in lines if line.startswith(("run time p50", "time in queue p95", "in emails"))}
    assert ends == {len(head) for head in heads}


def test_store_that_is_away_is_told(cli: Cli, nowhere: str):
    """Without its password, by each verb."""
    cli.set(BROKER_URL=nowhere)

    for words in (START, ("migrate", "share", "5"), ("migrate", "status"), ("migrate", "rollback")):
        told = refused(cli, *words)
        assert "is away" in told
        assert "hush" not in told


@pytest.mark.usefixtures("live")
def test_note_with_escapes_is_shown_as_text(cli: Cli):
    """A terminal is not steered by it."""
    cli(*START, "--note", "\x1b[2Jgone")

    shown = cli("migrate", "status").stdout

    assert "\x1b" not in shown
    assert "gone" in shown
    assert "\x1b[2Jgone" == json.loads(cli("migrate", "list", "--json").stdout)["migrations"][0]["steps"][0]["why"]
