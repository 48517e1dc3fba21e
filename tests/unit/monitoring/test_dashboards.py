"""Dashboards: Grafana is not here, so their structure is held, and each question is one that Prometheus can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as Model

from taskbridge.monitoring.dashboard import WIDE, Dashboard
from taskbridge.monitoring.one_task import one_task
from taskbridge.monitoring.overview import overview
from taskbridge.observe.gauges import GAUGES
from tests.prometheus import promtool

from .promql import known, read

FOLDER = Path(__file__).parents[3] / "docs" / "grafana"
ANEW = "run make monitoring"

BOTH = (overview("job"), one_task("job"))

#: What Grafana itself fills in; ``$1`` is PromQL's own.
BUILT_IN = {"__rate_interval", "__range", "__value", "1"}

#: Fields that Grafana has and its models of 11.6 have not: a variable's query in words, and one of 10's.
BESIDE = {"templating.list.definition", "panels.options.tooltip.show"}

#: Of Grafana's units, those that are used. Source: grafana.com, "Standard options".
UNITS = {"s", "ops", "short", "percentunit"}


def panels(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that ask for something."""
    return (panel for panel in made["panels"] if panel["type"] != "row")


def queries(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with the panel's title."""
    return ((panel["title"], target) for panel in panels(made) for target in panel["targets"])


def filled(query: str) -> str:
    """What Grafana would send."""
    return re.sub(r"\$\w+", ".*", query.replace("$__rate_interval", "5m").replace("$__range", "1h"))


@pytest.fixture(params=BOTH, ids=lambda dashboard: dashboard.uid)
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    dashboard: Dashboard = request.param
    found: dict[str, Any] = json.loads(dashboard.text())
    return found


@pytest.mark.parametrize("dashboard", BOTH, ids=lambda dashboard: dashboard.uid)
def test_the_file_in_the_documentation_is_what_is_made(dashboard: Dashboard):
    """By the defaults."""
    assert (FOLDER / f"{dashboard.uid}.json").read_text("utf-8") == dashboard.text(), ANEW


def test_the_folder_holds_nothing_else():
    """Whoever provisions it gets these two."""
    assert {f"{one.uid}.json" for one in BOTH} == {path.name for path in FOLDER.iterdir()}


def test_whatever_the_store_keeps_is_drawn():
    """Of every state that a message can be in on its way; what is dead has a picture of its own."""
    (panel,) = (one for one in panels(json.loads(overview("job").text())) if one["title"] == "Kept by the store")
    drawn = set(re.findall(r"taskbridge_\w+", " ".join(target["expr"] for target in panel["targets"])))

    assert {name for name, (_, labels) in GAUGES.items() if labels == ("queue",)} - {"taskbridge_dead"} == drawn


def test_panels_have_numbers_and_places_of_their_own(made: dict[str, Any]):
    """No two share an id or a cell of the grid, and none stands out of it."""
    ids = [panel["id"] for panel in made["panels"]]
    cells = [cell for panel in made["panels"] for cell in _cells(panel["gridPos"])]

    assert len(ids) == len({*ids})
    assert len(cells) == len({*cells})
    assert {*range(WIDE)} == {x for x, _ in cells}


def test_what_is_shown_says_what_it_is(made: dict[str, Any]):
    """Title, description, unit, the data source that is chosen, and a name for each line."""
    faults = [panel["title"] for panel in panels(made) if not (panel["title"] and panel["description"])]
    faults += [panel["title"] for panel in panels(made) if _unit(panel) not in UNITS]
    faults += [title for title, target in queries(made) if target["datasource"]["uid"] != "${datasource}"]
    lines = (panel for panel in panels(made) if panel["type"] == "timeseries")
    faults += [panel["title"] for panel in lines for target in panel["targets"] if not target["legendFormat"]]

    assert [] == faults


def test_what_is_chosen_can_be_chosen(made: dict[str, Any]):
    """Each variable that is named is one of the dashboard's or Grafana's own, and none is there for nothing."""
    defined = {one["name"] for one in made["templating"]["list"]}
    named = {*re.findall(r"\$\{?(\w+)", json.dumps(made["panels"]))}

    assert {"datasource", "namespace", "backend", "queue"} <= defined
    assert set() == named - defined - BUILT_IN
    assert set() == defined - named
    assert {panel["repeat"] for panel in panels(made) if "repeat" in panel} == {"backend"}


def test_panels_ask_for_series_that_are_served(made: dict[str, Any]):
    """Every name, and every label that is matched, grouped by or put into a legend."""
    series, faults = known(), []
    for title, target in queries(made):
        found = read(target["expr"])
        unknown = {*re.findall(r"{{(\w+)}}", target["legendFormat"])} - found.labels(series)
        faults += [f"{title}: {fault}" for fault in found.faults(series)]
        faults += [f"{title}: the legend has {unknown}"] if unknown else []

    assert [] == faults


def test_variables_ask_for_series_that_are_served(made: dict[str, Any]):
    """The label whose values are offered is one of the series."""
    series, faults = known(), []
    for variable in made["templating"]["list"][1:]:
        query, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
        faults += read(query).faults(series)
        faults += [] if label in read(query).labels(series) else [f"{query} has no label {label}"]

    assert [] == faults


def test_every_scope_is_narrowed_as_far_as_it_can_be(made: dict[str, Any]):
    """A query that leaves out a variable whose label its series has would show what was not asked for."""
    series = known()
    chosen = {one["name"]: "job" if one["name"] == "namespace" else one["name"] for one in made["templating"]["list"]}
    wide = [
        (title, name, variable)
        for title, target in queries(made)
        for name, labels in read(target["expr"]).series
        for variable, label in chosen.items()
        if label in series.get(name, set()) | {"job"} and label not in labels
    ]

    assert [] == wide


@pytest.mark.service("prometheus")
@pytest.mark.parametrize("label", ["job", "namespace"])
def test_prometheus_can_read_every_query(tmp_path: Path, label: str):
    """Its tool is given them as rules, with what Grafana would fill in."""
    every = [target["expr"] for one in (overview(label), one_task(label)) for _, target in queries(one.json())]
    rules = [{"record": f"panel:{number}", "expr": filled(query)} for number, query in enumerate(every)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"SUCCESS: {len(every)} rules found" in promtool("check", "rules", "panels.yml", folder=tmp_path)


def test_grafanas_own_models_know_every_field(made: dict[str, Any]):
    """Read into them and written out of them, all is there, with the same value: no option is misspelled."""
    register_default_plugins()

    back = json.loads(JSONEncoder().encode(Model.from_json(made)))

    assert set() == {*_lost(made, back)} - BESIDE


def test_both_engines_are_side_by_side(made: dict[str, Any]):
    """A line for each, of one colour everywhere; or a panel for each, in one line."""
    lines = [target["legendFormat"] for _, target in queries(made)]
    repeated = [panel for panel in panels(made) if "repeat" in panel]

    assert 6 <= lines.count("{{backend}}")
    assert {("h", WIDE)} == {(panel["repeatDirection"], panel["gridPos"]["w"]) for panel in repeated}
    assert all("$backend" in panel["title"] for panel in repeated)
    colours = {
        panel["fieldConfig"]["defaults"]["color"]["mode"] for panel in panels(made) if panel["type"] == "timeseries"
    }
    assert {"palette-classic-by-name"} == colours


def test_the_three_questions_are_rows():
    """Of both dashboards: do workers keep up, how does run time degrade, how long is the wait."""
    for dashboard in BOTH:
        titles = [panel["title"] for panel in dashboard.json()["panels"] if panel["type"] == "row"]

        assert ["Do the workers keep up?", "How does run time degrade?"] == titles[1:3]
        assert titles[3].startswith("How long")


def test_a_task_leads_to_its_own_dashboard():
    """Tables of the overview link to the other one, which has the variable."""
    text = overview("job").text()

    assert 2 == text.count(f"/d/{one_task('job').uid}?var-task=")
    assert "task" in {variable.name for variable in one_task("job").variables}


def _lost(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The paths at which the second has not what the first has."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key, value in one.items():
            yield from _lost(value, other.get(key, f"no {key}"), f"{path}.{key}".strip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for each in map(_lost, one, other, [path] * len(one)):
            yield from each
    elif one != other:
        yield path


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    return product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))


def _unit(panel: dict[str, Any]) -> str:
    unit = panel["options"]["yAxis"]["unit"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]["unit"]
    return str(unit)
