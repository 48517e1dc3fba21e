"""``taskbridge routes``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.routing.router import TTL_S

from .conftest import Cli

KNOWN = {
    "app.send_report": Known(queue="emails", tags=("reports",), positional=("user_id", "day")),
    "app.boom": Known(queue="slow", positional=("text",)),
    "bank.pay": Known(queue="emails", tags=("payments",), positional=("user_id",), hard_timeout_ms=5_000),
}
TASKS = {"app.send_report": ["day", "user_id"], "app.boom": ["text"], "bank.pay": ["user_id"]}


def worker(bridge: Bridge, *backends: str, name: str = "w", **changes: Any) -> None:
    """Let a worker live."""
    fields: dict[str, Any] = {"queues": ["emails", "slow"], "processes": 2, "tasks": TASKS, "known": KNOWN}
    announce(bridge.store, Announcement(name=name, backends=list(backends), **(fields | changes)))


@pytest.fixture
def live(bridge: Bridge) -> Bridge:
    """Both engines are served."""
    worker(bridge, "celery", "dramatiq")
    return bridge


def rules(cli: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli.json("routes", "list")["rules"]
    return found


def put(cli: Cli, *words: str) -> Any:
    return cli.json("routes", "set", *words)


@pytest.mark.usefixtures("live")
def test_rules_are_set_and_listed(cli: Cli):
    """In their order, with who changed them last; what is not named has its default."""
    assert "no rule is set\neverything else goes to celery\n" == cli("routes", "list").stdout
    first = put(
        cli, "--task", "bank.*", "--to", "dramatiq", "--share", "5", "--key", "{user_id}", "--note", "first users"
    )
    put(cli, "--queue", "slow", "--to", "dramatiq")
    put(cli, "--tag", "reports", "--to", "dramatiq", "--before", "r1")

    assert (1, True, ["bank.pay"], 3, []) == tuple(
        first[word] for word in ("version", "written", "tasks", "known", "remarks")
    )
    found = cli.json("routes", "list")
    assert [
        {"id": "r3", "task": "", "queue": "", "tag": "reports", "share": 100, "key": "", "to": "dramatiq"},
        {"id": "r1", "task": "bank.*", "queue": "", "tag": "", "share": 5, "key": "{user_id}", "to": "dramatiq"},
        {"id": "r2", "task": "", "queue": "slow", "tag": "", "share": 100, "key": "", "to": "dramatiq"},
    ] == found["rules"]
    assert (3, "celery", {}) == (found["version"], found["default"], found["shares"])
    assert "@" in found["who"]
    shown = cli("routes", "list").stdout
    assert "version 3, 20" in shown
    assert ["r1", "bank.*", "-", "-", "5", "%", "{user_id}", "dramatiq"] in [
        line.split() for line in shown.splitlines()
    ]


@pytest.mark.usefixtures("live")
def test_rule_is_changed_where_it_stands(cli: Cli):
    """By its name, or by what it matches and where it leads; what is not named stays."""
    put(cli, "--task", "bank.*", "--to", "dramatiq", "--share", "5", "--key", "{user_id}")
    put(cli, "--queue", "slow", "--to", "dramatiq")

    put(cli, "--task", "bank.*", "--to", "dramatiq", "--share", "50")
    assert [("r1", 50, "{user_id}"), ("r2", 100, "")] == [(one["id"], one["share"], one["key"]) for one in rules(cli)]
    put(cli, "--rule", "r1", "--share", "25", "--key", "")
    assert [("r1", 25, ""), ("r2", 100, "")] == [(one["id"], one["share"], one["key"]) for one in rules(cli)]
    again = put(cli, "--rule", "r1", "--share", "25")
    assert (False, 4) == (again["written"], again["version"])
    assert "it is so already" in cli("routes", "set", "--rule", "r1", "--share", "25").stdout


@pytest.mark.usefixtures("live")
def test_rule_may_have_a_name_of_its_own(cli: Cli):
    """One that is given by itself is not one's own."""
    put(cli, "--rule", "payments", "--task", "bank.pay", "--to", "dramatiq")

    assert ["payments"] == [one["id"] for one in rules(cli)]
    refused = cli("routes", "set", "--rule", "r7", "--task", "bank.pay", "--to", "celery")
    assert (1, True) == (refused.exit_code, "no rule is called 'r7'" in refused.stderr)


@pytest.mark.usefixtures("live")
def test_rules_are_removed_and_history_is_told(cli: Cli):
    """Who did what, and why; the newest first."""
    put(cli, "--task", "bank.*", "--to", "dramatiq", "--share", "5", "--note", "first")
    put(cli, "--queue", "slow", "--to", "dramatiq")
    put(cli, "--rule", "r1", "--share", "50")
    put(cli, "--rule", "r2", "--before", "r1")
    assert 0 == cli("routes", "remove", "r1", "r2", "--note", "done").exit_code

    found = cli.json("routes", "history")["versions"]

    assert [5, 4, 3, 2, 1] == [one["version"] for one in found]
    assert ["done", "", "", "", "first"] == [one["note"] for one in found]
    assert [
        ["- r2: 100 % of queue slow to dramatiq", "- r1: 50 % of task bank.* to dramatiq"],
        ["the order: r2, r1"],
        ["r1: 5 % -> 50 %"],
        ["+ r2: 100 % of queue slow to dramatiq"],
        ["+ r1: 5 % of task bank.* to dramatiq"],
    ] == [one["changes"] for one in found]
    assert [5, 4] == [one["version"] for one in cli.json("routes", "history", "--limit", "2")["versions"]]
    assert "first" in cli("routes", "history").stdout
    assert ["no rule is called 'r1'; there is none"] == [
        line.removeprefix("taskbridge: ") for line in cli("routes", "remove", "r1").stderr.splitlines()
    ]


@pytest.mark.usefixtures("live")
def test_rules_are_reverted(cli: Cli):
    """To any version that is kept, to none, and forward again; each is a version of its own."""
    put(cli, "--task", "bank.*", "--to", "dramatiq", "--share", "5")
    put(cli, "--rule", "r1", "--share", "50")
    put(cli, "--queue", "slow", "--to", "dramatiq")

    said = [cli("routes", "revert", version).stdout for version in ("1", "0", "3", "3")]

    assert ["version 4: ", "version 5: ", "version 6: "] == [line[:11] for line in said[:3]]
    assert "they are so already\n" == said[3]
    assert [("r1", 50), ("r2", 100)] == [(one["id"], one["share"]) for one in rules(cli)]
    history = cli.json("routes", "history")["versions"]
    assert ["back to version 3", "back to version 0", "back to version 1"] == [one["note"] for one in history[:3]]
    assert "there is no version 9 of the routes: versions 1 to 6 are kept" in cli("routes", "revert", "9").stderr
    put(cli, "--task", "app.boom", "--to", "dramatiq", "--before", "r2")
    assert ["r1", "r3", "r2"] == [one["id"] for one in rules(cli)]


def test_nothing_was_written_to_revert_to(cli: Cli):
    """But that there is no rule."""
    assert "there is no version 1 of the routes: nothing was written yet" in cli("routes", "revert", "1").stderr
    assert "they are so already\n" == cli("routes", "revert", "0").stdout
    assert "no rule was ever set\n" == cli("routes", "history").stdout


@pytest.mark.usefixtures("live")
def test_dry_run_changes_nothing(cli: Cli):
    """It says how many of the known tasks match, and what would be wrong."""
    said = cli("routes", "set", "--task", "app.*", "--to", "dramatiq", "--share", "5", "--dry-run")
    found = put(cli, "--tag", "reports", "--to", "dramatiq", "--dry-run")
    refused = cli("routes", "set", "--task", "mail.*", "--to", "dramatiq", "--dry-run")

    assert "it matches 2 of 3 known tasks: app.boom, app.send_report\nnothing was changed\n" in said.stdout
    assert (["app.send_report"], True, False) == (found["tasks"], found["dry_run"], found["written"])
    assert (1, True) == (refused.exit_code, "no live worker announces a task of task mail.*" in refused.stderr)
    assert "no rule was ever set\n" == cli("routes", "history").stdout


@pytest.mark.parametrize(
    ("words", "why", "forcible"),
    [
        (["--task", "bank.pay", "--to", "dramatik"], "no backend is called 'dramatik'; did you mean 'dramatiq'", False),
        (["--task", "bank.pay", "--to", "memory"], "the backend 'memory' lives in one process", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--share", "101"], "expected 0 to 100 percent, got 101", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--share", "-1"], "expected 0 to 100 percent, got -1", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--share", "nan"], "expected 0 to 100 percent, got nan", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--key", "user"], "key: expected a template", False),
        (["--to", "dramatiq"], "a rule needs a task, a queue or a tag; the task '*' is every task", False),
        (["--task", "bank.pay"], "to: expected the backend that a new rule leads to", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--before", "r9"], "no rule is called 'r9'", False),
        (["--task", "bank.pay", "--to", "dramatiq", "--note", "x" * 501], "note: expected at most 500", False),
        (["--task", "bank.pai", "--to", "dramatiq"], "announces the task 'bank.pai'; did you mean 'bank.pay'", True),
        (["--task", "mail.*", "--to", "dramatiq"], "no live worker announces a task of task mail.*", True),
        (["--queue", "urgent", "--to", "dramatiq"], "no live worker announces a task of queue urgent", True),
        (["--tag", "nightly", "--to", "dramatiq"], "no live worker announces a task of tag nightly", True),
        (
            ["--task", "*", "--to", "dramatiq", "--key", "{user_id}"],
            "app.boom lack arguments of {user_id}: their messages would be shared by their ids",
            True,
        ),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("live")
def test_wrong_rule_is_refused(cli: Cli, words: list[str], why: str, forcible: bool):
    """With the reason, and whether it can be insisted on."""
    refused = cli("routes", "set", *words)

    assert (1, "") == (refused.exit_code, refused.stdout)
    assert why in refused.stderr
    assert forcible is refused.stderr.endswith("; --force sets it all the same\n")
    assert (0 if forcible else 1) == cli("routes", "set", *words, "--force").exit_code
    assert forcible is bool(rules(cli))


@pytest.mark.usefixtures("live")
def test_rule_that_nothing_is_left_to_is_refused(cli: Cli):
    """And one that leaves nothing to those behind it says so."""
    put(cli, "--task", "bank.*", "--to", "dramatiq", "--share", "50", "--key", "{user_id}")

    shadowed = cli(
        "routes", "set", "--task", "bank.pay", "--to", "celery", "--share", "50", "--key", "{user_id}", "--force"
    )
    more = put(cli, "--task", "bank.pay", "--to", "celery", "--share", "60", "--key", "{user_id}")
    raised = put(cli, "--rule", "r1", "--share", "100")

    assert 1 == shadowed.exit_code
    assert (
        "it can never match: 50 % of task bank.* to dramatiq, sticky by {user_id} (r1) stands before" in shadowed.stderr
    )
    assert "r2" == more["rule"]["id"]
    assert ["nothing is left to 60 % of task bank.pay to celery, sticky by {user_id} (r2), which stands behind it"] == (
        raised["remarks"]
    )


@pytest.mark.usefixtures("live")
def test_rule_that_nothing_is_left_to_as_far_as_is_known_is_refused(cli: Cli):
    """Others take all that comes of the tasks that live workers have; one may know better."""
    put(cli, "--tag", "payments", "--to", "dramatiq", "--share", "50", "--key", "{user_id}")
    words = ["--task", "bank.*", "--to", "celery", "--key", "{user_id}"]

    refused = cli("routes", "set", *words, "--share", "20")

    assert (1, True) == (
        refused.exit_code,
        "nothing is left of bank.pay, by r1 before it: no other known task matches; --force" in refused.stderr,
    ), refused.stderr
    assert 0 == cli("routes", "set", *words, "--share", "20", "--force").exit_code
    assert 0 == cli("routes", "set", *words, "--share", "60").exit_code


@pytest.mark.parametrize(
    ("backends", "changes", "why"),
    [
        ((), {}, "no live worker announces the task 'bank.pay': none lives"),
        (("celery",), {}, "no live worker serves the backend 'dramatiq': nobody would take the messages"),
        (("dramatiq",), {"queues": ["slow"]}, "no live worker on 'dramatiq' takes bank.pay of queue emails"),
        (
            ("dramatiq",),
            {"tasks": {"app.boom": []}, "known": {}, "other": True},
            "no live worker on 'dramatiq' takes bank.pay of queue emails",
        ),
    ],
)
def test_backend_that_nobody_serves_is_refused(
    cli: Cli, bridge: Bridge, backends: tuple[str, ...], changes: dict[str, Any], why: str
):
    """Unless forced: nobody would take the messages."""
    if changes.pop("other", False):
        worker(bridge, "celery", name="other")
    if backends:
        worker(bridge, *backends, **changes)

    refused = cli("routes", "set", "--task", "bank.pay", "--to", "dramatiq")

    assert (1, True) == (refused.exit_code, why in refused.stderr), refused.stderr
    assert refused.stderr.endswith("; --force sets it all the same\n")
    assert 0 == cli("routes", "set", "--task", "bank.pay", "--to", "dramatiq", "--force").exit_code


def test_taking_back_is_never_held_up(cli: Cli, bridge: Bridge):
    """The workers there are gone, or the settings do not have the backend any more: less is always possible."""
    cli.write("named.toml", '[backends.new]\nengine = "dramatiq"\n')
    cli.set(CONFIG="named.toml")
    worker(bridge, "celery", "dramatiq")
    for task in ("bank.pay", "app.boom"):
        put(cli, "--task", task, "--to", "new", "--share", "50")
    worker(bridge, "celery")
    cli.write("named.toml", "")

    lowered = put(cli, "--rule", "r1", "--share", "10")
    raised = cli("routes", "set", "--rule", "r1", "--share", "20")
    reverted = cli("routes", "revert", "2")

    assert (3, 10) == (lowered["version"], lowered["rule"]["share"])
    assert "no backend is called 'new'" in raised.stderr
    assert (1, True) == (reverted.exit_code, "no backend is called 'new'" in reverted.stderr)
    assert 0 == cli("routes", "remove", "r2").exit_code
    assert 0 == cli("routes", "revert", "0").exit_code
    assert [] == rules(cli)


def test_backend_is_served_under_another_name(cli: Cli, bridge: Bridge):
    """A worker that lives on the same engine and broker takes its messages."""
    cli.write("named.toml", '[backends.new]\nengine = "dramatiq"\n')
    cli.set(CONFIG="named.toml")
    worker(bridge, "dramatiq")

    assert 1 == put(cli, "--task", "bank.pay", "--to", "new")["version"]


def test_tasks_of_a_module_are_known(cli: Cli, bridge: Bridge):
    """Before a worker has them; their arguments are checked."""
    worker(bridge, "dramatiq", tasks={"app.send_report": ["user_id"]}, known={})

    found = put(cli, "--task", "app.*", "--to", "dramatiq", "--dry-run", "--module", "app", "--force")
    refused = cli("routes", "set", "--task", "app.*", "--to", "dramatiq", "--key", "{user_id}", "--module", "app")

    assert ["app.boom", "app.send_report"] == found["tasks"]
    assert "app.boom lack arguments of {user_id}" in refused.stderr


def test_worker_of_an_older_release_is_reckoned_with(cli: Cli, bridge: Bridge):
    """It tells neither queues nor tags of its tasks: only their names are known."""
    worker(bridge, "celery", "dramatiq", known={})

    assert ["bank.pay"] == put(cli, "--task", "bank.*", "--to", "dramatiq", "--key", "{user_id}")["tasks"]


@pytest.mark.usefixtures("live")
def test_routes_of_a_newer_release_are_not_overwritten(cli: Cli, bridge: Bridge):
    """What this one cannot read it does not write; the history tells of it."""
    put(cli, "--task", "bank.*", "--to", "dramatiq")
    bridge.store.routes.write(1, b'{"rules":[],"word":1}', who="newer", note="")

    said = [cli("routes", *words) for words in (["list"], ["set", "--rule", "r1", "--share", "0"], ["revert", "1"])]

    assert [1, 1, 1] == [one.exit_code for one in said]
    assert {True} == {"version 2: the route table cannot be read by this release: " in one.stderr for one in said}
    assert ["written by a newer release"] == cli.json("routes", "history")["versions"][0]["changes"]


def test_store_that_is_away_is_told(cli: Cli, nowhere: str):
    """Without its password."""
    cli.set(STORE_URL=nowhere)

    said = cli("routes", "list")

    assert 1 == said.exit_code
    assert "is away" in said.stderr
    assert "hush" not in said.output


@pytest.mark.usefixtures("live")
def test_shares_of_the_settings_are_listed(cli: Cli):
    """They hold where no rule takes a message."""
    cli.write("shares.toml", '[shares."bank.pay"]\ndramatiq = 25\n')
    cli.set(CONFIG="shares.toml")

    assert {"bank.pay": {"dramatiq": 25}} == cli.json("routes", "list")["shares"]
    assert "by the settings: bank.pay: 25 % to dramatiq\n" in cli("routes", "list").stdout


def test_producer_follows_what_is_set(cli: Cli, live: Bridge):
    """Within a second, and back."""
    task = live.task(name="bank.pay", queue="emails")(lambda user_id: None)

    def depth(name: str) -> int:
        task.enqueue(7)
        return live.backend(name).depth("emails")

    depth("celery")
    put(cli, "--task", "bank.pay", "--to", "dramatiq")
    live.clock.sleep(TTL_S)
    assert 1 == depth("dramatiq")
    cli("routes", "revert", "0")
    before = depth("celery")
    live.clock.sleep(TTL_S)

    assert before + 1 == depth("celery")


@pytest.mark.usefixtures("live")
def test_json_is_plain(cli: Cli):
    """Another program reads it."""
    result = cli("routes", "set", "--task", "bank.*", "--to", "dramatiq", "--json")

    assert {"version", "written", "dry_run", "rule", "tasks", "known", "remarks"} == json.loads(result.stdout).keys()
