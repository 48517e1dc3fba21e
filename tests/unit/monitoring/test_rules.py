"""Alert rules: Prometheus' own tool reads them, each alert fires when it should and not otherwise."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskbridge.cli.monitoring import rules as command
from taskbridge.errors import ConfigError
from taskbridge.monitoring.alerts import ALERTS, RECORDS
from taskbridge.monitoring.rules import RUNBOOKS, text_of_rules
from taskbridge.monitoring.thresholds import Bound, Thresholds
from tests.prometheus import promtool

from .cases import CASES, Case
from .promql import known, read

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "alerts" / "taskbridge.yml"
ANEW = "run make monitoring"

#: Options that alerts are judged by.
THRESHOLDS = {one.name.replace("_", "-") for one in fields(Thresholds)} - {"label", "spans"}

QUEUES = Bound(1, {'re"ports': 2, "back\\slash": 3})


def rules(**thresholds: Any) -> str:
    return text_of_rules(RECORDS, ALERTS, Thresholds(**thresholds))


def read_back(text: str) -> list[dict[str, Any]]:
    """The rules in a file."""
    (group,) = yaml.safe_load(text)["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_the_file_in_the_documentation_is_what_is_made():
    """By the defaults."""
    assert FILE.read_text("utf-8") == rules(), ANEW


@pytest.mark.service("prometheus")
@pytest.mark.parametrize(
    "thresholds",
    [{}, {"spans": 0.001}, {"label": "namespace", "oldest_age": QUEUES, "dead_letters": QUEUES, "growth": 1e-7}],
)
def test_prometheus_loads_them(tmp_path: Path, thresholds: dict[str, Any]):
    """Whatever the thresholds; its tool looks at queries and at the templates of annotations."""
    (tmp_path / "rules.yml").write_text(rules(**thresholds))

    said = promtool("check", "rules", "rules.yml", folder=tmp_path)

    assert f"SUCCESS: {len(RECORDS) + len(ALERTS)} rules found" in said


@pytest.mark.service("prometheus")
def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path):
    """By Prometheus' tool for tests of rules, with the labels and the summary that an operator reads."""
    alerts = tuple(replace(alert, description="") for alert in ALERTS)
    (tmp_path / "rules.yml").write_text(text_of_rules(RECORDS, alerts, Thresholds()))
    tests = [_test(case) for case in CASES]
    file = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(file))

    promtool("test", "rules", "tests.yml", folder=tmp_path)


def test_each_alert_has_a_case_of_both_kinds():
    """One that fires, one that does not."""
    names = [alert.name for alert in ALERTS]

    assert (
        {*names} == {case.alert for case in CASES if case.labels} == {case.alert for case in CASES if not case.labels}
    )
    assert len(names) == len({*names})


@pytest.mark.service("prometheus")
def test_a_queue_apart_is_judged_by_its_own_number(tmp_path: Path):
    """And the others by the default."""
    oldest = 'taskbridge_queue_oldest_age_seconds{{job="bank",backend="celery",queue="{}"}}'
    series = {oldest.format("reports"): "1000x30", oldest.format("mail"): "400x30", oldest.format("slow"): "200x30"}
    (tmp_path / "rules.yml").write_text(rules(oldest_age=Bound(300, {"reports": 3600})))
    case = _test(Case("TaskbridgeOldestMessageTooOld", "", series))
    firing = 'count by (queue) (ALERTS{alertname="TaskbridgeOldestMessageTooOld",alertstate="firing"})'
    asked = {"expr": firing, "eval_time": "30m", "exp_samples": [{"labels": '{queue="mail"}', "value": 1}]}
    case |= {"alert_rule_test": [], "promql_expr_test": [asked]}
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))

    promtool("test", "rules", "tests.yml", folder=tmp_path)


def test_rules_ask_for_series_that_are_served():
    """Every name, and every label that is matched or grouped by; records stand before whoever asks for them."""
    made, faults = known(), []
    for rule in read_back(rules()):
        faults += read(rule["expr"]).faults(made)

    assert [] == faults
    recorded = [record.name for record in RECORDS]
    for at, record in enumerate(RECORDS):
        asked = {name for name, _ in read(record.query).series}
        assert set() == asked & {*recorded[at:]}, record.name


def test_what_annotations_name_is_there():
    """Each ``$labels.x`` is a label of the alert's own answers, and nothing is left to fill in."""
    made, faults = known(), []
    for rule in read_back(rules()):
        said = " ".join(rule.get("annotations", {}).values())
        named = set(re.findall(r"\$labels\.(\w+)", said))
        missing = named - read(rule["expr"]).labels(made)
        unfilled = re.findall(r"\$(?!labels\.|value\b)\w*", said + rule["expr"])
        faults += [(rule["alert"], missing, unfilled)] if missing or unfilled else []

    assert [] == faults


def test_each_alert_has_a_runbook():
    """A heading of its name on the page of the alerts, and a severity that the page explains."""
    page = (ROOT / RUNBOOKS).read_text("utf-8")
    headings = {f"{RUNBOOKS}#{found.lower()}" for found in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    alerts = [rule for rule in read_back(rules()) if "alert" in rule]

    assert headings == {rule["annotations"]["runbook_url"] for rule in alerts}
    assert {"critical", "warning"} == {rule["labels"]["severity"] for rule in alerts}
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in alerts)


def test_the_page_says_what_the_rules_say():
    """Its table has a row for each alert, in their order, how long it lasts, its severity, and its options."""
    page = (ROOT / RUNBOOKS).read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \|.*\| (\S+(?: m)?) \| (\w+) \| (.*)\|$", page, re.MULTILINE)
    said = [(f"Taskbridge{name}", anchor, span.replace(" ", ""), severity) for name, anchor, span, severity, _ in rows]

    expected = [(one.name, one.name.lower(), one.lasts.removesuffix("s"), one.severity) for one in ALERTS]
    assert expected == said
    options = {option for *_, options in rows for option in re.findall(r"--[a-z0-9-]+", options)}
    assert {option for one in command.params for option in one.opts if option[2:] in THRESHOLDS} == options


def test_spans_are_scaled_together():
    """Windows and waits, by the same factor: what a minute was is a second."""
    before, after = (read_back(rules(spans=spans)) for spans in (1, 1 / 60))
    (gone,) = [rule for rule in after if rule.get("alert") == "TaskbridgeWorkerGone"]

    assert "2000ms" == gone["for"]
    assert "[1440000ms]" in gone["expr"]
    spans = re.compile(r"\[[0-9]+")
    assert [len(spans.findall(one["expr"])) for one in before] == [len(spans.findall(one["expr"])) for one in after]
    assert not any(re.search(r"\[[0-9]+[smhd]\]", one["expr"]) for one in after)


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"growth": -1}, "growth: expected a number of 0 or more, got -1"),
        ({"store_p99": float("nan")}, "store_p99: expected a number of 0 or more, got nan"),
        ({"failure_ratio": Bound(5)}, "failure_ratio: expected a share of 0 to 1 such as 0.1, got 5"),
        ({"attempt_ratio": Bound(0.9, {"bank.poll": 2})}, "attempt_ratio: expected a share of 0 to 1"),
        ({"failure_ratio": Bound(0.1, {"bank.poll": 50})}, "failure_ratio: expected a share of 0 to 1"),
        ({"spans": 0}, "spans: expected a factor above 0"),
        ({"label": "a b"}, "expected the name of a label"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(thresholds: dict[str, Any], said: str):
    """With what was expected."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        Thresholds(**thresholds)


def _test(case: Case) -> dict[str, Any]:
    """A case as the tool reads it."""
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    expected = []
    if case.labels:
        notes = {"summary": case.summary, "description": "", "runbook_url": f"{RUNBOOKS}#{case.alert.lower()}"}
        expected = [{"exp_labels": {"severity": "warning", **case.labels}, "exp_annotations": notes}]
    asked = {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected}
    return {
        "name": f"{case.alert}: {case.why}", "interval": "1m", "input_series": series, "alert_rule_test": [asked],
    }  # fmt: skip
