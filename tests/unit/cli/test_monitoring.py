"""``taskbridge monitoring``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import Cli

DOCS = Path(__file__).parents[3] / "docs"


def expressions(text: str) -> dict[str, str]:
    """The queries of a file of rules, by name."""
    (group,) = yaml.safe_load(text)["groups"]
    return {rule.get("alert", rule.get("record")): rule["expr"] for rule in group["rules"]}


@pytest.fixture
def alone(cli: Cli, nowhere: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Where there is neither a store nor a client of Prometheus."""
    cli.set(BROKER_URL=nowhere)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    return cli


def test_dashboards_are_written_into_a_folder(alone: Cli, tmp_path: Path):
    """Which is made if need be: those of the documentation. What was there is replaced."""
    folder = tmp_path / "new" / "grafana"
    for _ in range(2):
        result = alone("monitoring", "dashboards", str(folder))

        assert (0, "") == (result.exit_code, result.stdout)
        for name in ("taskbridge-overview.json", "taskbridge-task.json"):
            assert f"{folder / name} is written" in result.stderr.replace("\n", "")
            assert (DOCS / "grafana" / name).read_text() == (folder / name).read_text()


def test_rules_are_printed_or_written(alone: Cli, tmp_path: Path):
    """The same text: that of the documentation, and nothing else on standard output."""
    printed = alone("monitoring", "rules")
    written = alone("monitoring", "rules", str(tmp_path / "rules.yml"))

    assert (0, 0, "") == (printed.exit_code, written.exit_code, written.stdout)
    expected = (DOCS / "alerts" / "taskbridge.yml").read_text()
    assert [expected] * 2 == [printed.stdout, (tmp_path / "rules.yml").read_text()]


def test_thresholds_are_options(alone: Cli):
    """A number for all, and others for some queues and tasks, in any order."""
    ages = ["--oldest-age", "re=ports=3600", "--oldest-age", "120", "--oldest-age", "slow=900"]
    shares = ["--failure-ratio", "bank.poll=0.5", "--attempt-ratio", "bank.poll=1"]
    shares += ["--dead-letters", "7", "--store-p99", "0.2", "--relay-lag", "9"]

    found = expressions(alone("monitoring", "rules", *ages, *shares, "--behind", "33", "--growth", "0.5").stdout)

    oldest = "queue:taskbridge_queue_oldest_age_seconds:max"
    assert [
        f'{oldest}{{queue!="re=ports",queue!="slow"}} > 120',
        f'or {oldest}{{queue="re=ports"}} > 3600',
        f'or {oldest}{{queue="slow"}} > 900',
    ] == found["TaskbridgeOldestMessageTooOld"].splitlines()
    assert 'ratio10m{task!="bank.poll"} > 0.1\n' in found["TaskbridgeFailureRatio"]
    assert 'ratio5m{task!="bank.poll"} > 0.9\nor ' in found["TaskbridgeAttemptsFailing"]
    assert "growth15m > 7" in found["TaskbridgeDeadLettersGrowing"]
    assert "p99_5m > 0.2" in found["TaskbridgeStoreSlow"]
    assert "lag_seconds) > 9" in found["TaskbridgeRelayLate"]
    assert "> 0.5 * " in found["TaskbridgeNotKeepingUp"]
    assert "> 33 * " in found["TaskbridgeNotKeepingUp"]


def test_the_label_of_a_namespace_may_be_another(alone: Cli, tmp_path: Path):
    """In rules and dashboards; nothing asks for the job then."""
    rules = alone("monitoring", "rules", "--label", "namespace").stdout
    alone("monitoring", "dashboards", str(tmp_path), "--label", "namespace")
    overview = (tmp_path / "taskbridge-overview.json").read_text()

    assert "job" not in rules + overview
    assert "max by (namespace, backend, queue)" in rules
    assert json.loads(overview)["templating"]["list"][1]["definition"] == "label_values(taskbridge_store_up, namespace)"


def test_runbooks_may_be_elsewhere(alone: Cli):
    """Each alert leads to its own."""
    rules = alone("monitoring", "rules", "--runbooks", "https://wiki.example/alerts").stdout

    assert "runbook_url: https://wiki.example/alerts#taskbridgestoreaway" in rules
    assert "docs/alerts.md#" not in rules


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rules", "--oldest-age", "reports=soon"], 2, "expected a number such as 300, or that of a name"),
        (["rules", "--oldest-age", "-1"], 2, "expected a number of 0 or more, got -1"),
        (["rules", "--dead-letters", "mail=nan"], 2, "expected a number of 0 or more, got nan"),
        (["rules", "--failure-ratio", "5"], 1, "failure_ratio: expected a share of 0 to 1 such as 0.1, got 5"),
        (["rules", "--growth", "x"], 2, "is not a valid float"),
        (["rules", "--spans", "0"], 1, "spans: expected a factor above 0"),
        (["rules", "--label", "a-b"], 1, "expected the name of a label such as job or namespace, got 'a-b'"),
        (["dashboards", "grafana", "--label", "1"], 1, "expected the name of a label"),
        (["rules", "app.py/rules.yml"], 1, "'app.py/rules.yml' cannot be written: "),
        (["dashboards", "app.py/x"], 1, "cannot be written: "),
        (["dashboards"], 2, "Missing argument 'FOLDER'"),
        (["rule"], 2, "No such command 'rule'"),
    ],
)
def test_what_makes_no_sense_is_refused(alone: Cli, words: list[str], code: int, said: str):
    """With what was expected; nothing is written."""
    result = alone("monitoring", *words)

    assert (code, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
