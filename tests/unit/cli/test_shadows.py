"""``taskbridge routes shadow``, ``unshadow`` and ``shadows``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Known
from taskbridge.store.shadows import SUCCEEDED, Told

from .conftest import Cli
from .test_routes import worker

KNOWN = {
    "app.send_report": Known(queue="emails", positional=("user_id", "day"), shadow_safe=True),
    "app.boom": Known(queue="slow", positional=("text",)),
    "bank.pay": Known(queue="emails", positional=("user_id",), shadow_safe=True),
}


@pytest.fixture
def live(bridge: Bridge) -> Bridge:
    """Both engines are served."""
    worker(bridge, "celery", "dramatiq", known=KNOWN)
    return bridge


def put(cli: Cli, task: str = "bank.pay", *words: str) -> Any:
    return cli.json("routes", "shadow", task, "--to", "dramatiq", *words)


def refused(cli: Cli, *words: str, force: bool = False) -> str:
    """Why a shadow is refused; nothing is written."""
    result = cli("routes", "shadow", *words, *(["--force"] if force else []))
    assert 1 == result.exit_code, result.output
    assert [] == cli.json("routes", "list")["shadows"]
    return result.stderr


@pytest.mark.usefixtures("live")
def test_a_shadow_is_set_changed_and_removed(cli: Cli):
    """A version of the table each time; what is not named stays, and `routes revert` takes it back."""
    first = put(cli, "bank.pay", "--share", "5", "--key", "{user_id}", "--note", "alike?")
    cli.json("routes", "shadow", "bank.pay", "--share", "20")
    same = put(cli, "bank.pay", "--share", "20")

    shadow = {"id": "s1", "task": "bank.pay", "to": "dramatiq", "share": 5.0, "key": "{user_id}"}
    assert {"version": 1, "written": True, "dry_run": False, "shadow": shadow} == first
    assert (False, 2) == (same["written"], same["version"])
    listed = cli.json("routes", "list")
    assert ([], [shadow | {"share": 20.0, "queue": "", "tag": ""}]) == (listed["rules"], listed["shadows"])
    shown = cli("routes", "list").stdout
    assert "s1: a shadow of 20 % of task bank.pay to dramatiq, sticky by {user_id}" in shown
    gone = cli("routes", "unshadow", "bank.pay").stdout
    assert "version 3 has no shadow of bank.pay; `taskbridge routes revert 2` takes it back\n" == gone
    cli("routes", "revert", "2")
    assert [20.0] == [one["share"] for one in cli.json("routes", "list")["shadows"]]
    history = [one["changes"] for one in cli.json("routes", "history")["versions"]]
    assert [
        ["+ s1: shadow of 20 % of task bank.pay to dramatiq, sticky by {user_id}"],
        ["- s1: shadow of 20 % of task bank.pay to dramatiq, sticky by {user_id}"],
        ["s1: 5 % -> 20 %"],
        ["+ s1: shadow of 5 % of task bank.pay to dramatiq, sticky by {user_id}"],
    ] == history


@pytest.mark.usefixtures("live")
def test_one_that_is_set_anew_is_counted_anew(cli: Cli):
    """It has another name."""
    names = []
    for _ in range(2):
        names.append(put(cli, "bank.pay", "--share", "5")["shadow"]["id"])
        cli("routes", "unshadow", "bank.pay")

    assert ["s1", "s2"] == names


@pytest.mark.usefixtures("live")
def test_rules_and_shadows_leave_each_other_alone(cli: Cli):
    """Whichever is changed."""
    put(cli, "bank.pay", "--share", "5")
    cli("routes", "set", "--task", "bank.*", "--to", "dramatiq", "--share", "1")
    cli("routes", "set", "--rule", "r2", "--share", "2")
    put(cli, "app.send_report", "--share", "7")
    cli("routes", "unshadow", "bank.pay")
    cli("routes", "remove", "r2")

    listed = cli.json("routes", "list")
    assert ([], [("s3", "app.send_report")]) == (
        listed["rules"],
        [(one["id"], one["task"]) for one in listed["shadows"]],
    )


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("force", [False, True])
def test_a_task_that_is_not_shadow_safe_is_refused(cli: Cli, bridge: Bridge, force: bool):
    """Whoever insists, and wherever it is declared without: also by one of all workers that have it."""
    said = refused(cli, "app.boom", "--to", "dramatiq", "--share", "5", force=force)
    assert "app.boom is not declared with shadow_safe=True by w, or by a release before shadows" in said

    worker(bridge, "celery", name="older", known={})
    said = refused(cli, "bank.pay", "--to", "dramatiq", "--share", "5", force=force)
    assert "bank.pay is not declared with shadow_safe=True by older, or" in said
    said = refused(cli, "app.send_report", "--to", "dramatiq", "--share", "5", "--module", "app", force=force)
    assert "by older, the module that was named, or" in said


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["bank.pay", "--to", "dramatik", "--share", "5"], "no backend is called 'dramatik'"),
        (["bank.pay", "--to", "memory", "--share", "5"], "lives in one process"),
        (["bank.pay", "--to", "dramatiq", "--share", "101"], "expected 0 to 100 percent, got 101"),
        (["bank.*", "--to", "dramatiq", "--share", "5"], "a shadow is of one task, by its whole name; got task bank.*"),
        (["bank.pay", "--to", "dramatiq", "--share", "5", "--key", "x"], "expected a template of arguments"),
        (["bank.pay", "--share", "5"], "to: expected the backend that a new shadow sends copies to"),
        (["bank.pay", "--to", "dramatiq"], "share: expected how much of the task's messages a new shadow copies"),
    ],
)
def test_what_is_wrong_in_itself_is_refused(cli: Cli, words: list[str], why: str):
    """Nobody can insist."""
    assert why in refused(cli, *words)
    assert why in refused(cli, *words, force=True)


@pytest.mark.parametrize(
    ("words", "served", "why"),
    [
        (["bank.pey", "--to", "dramatiq"], ["celery", "dramatiq"], "no live worker announces the task 'bank.pey'"),
        (["bank.pay", "--to", "dramatiq"], ["celery"], "no live worker serves the backend 'dramatiq'"),
        (["bank.pay", "--to", "dramatiq", "--key", "{account}"], ["celery", "dramatiq"], "lack arguments of {account}"),
        (["bank.pay", "--to", "celery"], ["celery"], "all messages of bank.pay go to 'celery' already"),
    ],
)
def test_what_leads_nowhere_is_refused_unless_forced(cli: Cli, bridge: Bridge, words: list[str], served: Any, why: str):
    """With the reason; `--dry-run` says it, too, and changes nothing."""
    worker(bridge, *served, known=KNOWN)

    assert why in refused(cli, *words, "--share", "5")
    assert why in refused(cli, *words, "--share", "5", "--dry-run")
    dry = cli.json("routes", "shadow", *words, "--share", "5", "--force", "--dry-run")
    assert (0, []) == (dry["version"], cli.json("routes", "list")["shadows"])
    assert cli.json("routes", "shadow", *words, "--share", "5", "--force")["written"]


@pytest.mark.usefixtures("live")
def test_taking_less_is_never_held_up(cli: Cli, bridge: Bridge):
    """Whatever became of the workers."""
    put(cli, "bank.pay", "--share", "5")
    worker(bridge, "celery", known={})

    assert put(cli, "bank.pay", "--share", "1")["written"]
    assert 0 == cli("routes", "unshadow", "bank.pay").exit_code


@pytest.mark.usefixtures("live")
def test_check_looks_at_shadows(cli: Cli, bridge: Bridge):
    """What has become wrong with one since it was set."""
    put(cli, "bank.pay", "--share", "5")
    fine = cli("check").stdout
    worker(bridge, "celery", "dramatiq", known={})
    wrong = cli("check").stdout

    assert "s1, version 1: a shadow of 5 % of task bank.pay to dramatiq" in fine
    assert "bank.pay is not declared with shadow_safe=True by w" in wrong


@pytest.mark.usefixtures("live")
def test_shadows_tells_what_they_came_to(cli: Cli, bridge: Bridge):
    """Agreed, disagreed by what, one side alone, and the last disagreements with both sides; JSON says the same."""
    assert "nothing is shadowed\n" == cli("routes", "shadows").stdout
    put(cli, "bank.pay", "--share", "5")
    tell, begin = bridge.store.shadows.tell, bridge.store.shadows.begin
    fine = Told(outcome=SUCCEEDED, backend="celery", digest="aa" * 16, ran_us=2_000)
    other = Told(outcome=SUCCEEDED, backend="dramatiq", digest="bb" * 16, ran_us=3_000, unsent=2)
    failed = Told(outcome="KeyError", backend="dramatiq", ran_us=1_000, why="KeyError: 'x'")
    for id, copy in (("m1", fine), ("m2", other), ("m3", failed), ("m4", None), ("m5", None)):
        tell("s1", "bank.pay", id, "original", fine)
        if copy:
            begin("s1", "bank.pay", id)
            tell("s1", "bank.pay", id, "copy", copy)
    begin("s1", "bank.pay", "m5")
    tell("s1", "bank.pay", "m6", "copy", fine)
    tell("s0", "bank.old", "m7", "copy", fine)

    found = cli.json("routes", "shadows", "--limit", "1")

    assert {
        "shadow": "s1",
        "task": "bank.pay",
        "rule": {"id": "s1", "task": "bank.pay", "to": "dramatiq", "share": 5.0, "key": ""},
        "pairs": 3,
        "agreed": 1,
        "disagreed": {"outcome": 1, "result": 1},
        "only_original": 2,
        "only_copy": 1,
        "unended": 0,
        "original_ms": 6.0,
        "copy_ms": 6.0,
        "would_send": 2,
    } == found["shadows"][0]
    assert ("s0", None) == tuple(found["shadows"][1][word] for word in ("shadow", "rule"))
    (last,) = found["disagreements"]
    side = {"backend": "dramatiq", "outcome": "KeyError", "digest": "", "why": "KeyError: 'x'", "ran_ms": 1.0}
    assert ("m3", "outcome", side) == (last["id"], last["by"], last["copy"])
    shown = cli("routes", "shadows").stdout
    assert "m2" in shown
    assert "succeeded with bbbbbbbb" in shown
    assert "KeyError: 'x'" in shown
    assert "removed" in shown
    assert json.dumps(found)
