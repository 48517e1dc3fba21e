"""Dashboards of Grafana, as the JSON of a file that it imports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .panels import SOURCE, Panel

#: The model of Grafana 10.2; later ones read it. Source: grafana.com, "JSON model".
SCHEMA = 39

#: How many columns a dashboard has.
WIDE = 24


@dataclass(frozen=True, slots=True)
class Variable:
    """What the viewer chooses, of the values of a label that a series has.

    ``many`` is whether several or all may be chosen; all is the default then.
    """

    name: str
    title: str
    series: str
    label: str
    many: bool = True

    def json(self) -> dict[str, Any]:
        """As one of the dashboard's list."""
        query = f"label_values({self.series}, {self.label})"
        every = {"allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}
        return {
            "name": self.name,
            "label": self.title,
            "type": "query",
            "datasource": SOURCE,
            "definition": query,
            "query": {"query": query, "refId": f"variable-{self.name}"},
            "refresh": 2,
            "sort": 1,
            "multi": self.many,
            "includeAll": self.many,
            "hide": 0,
            "options": [],
            "regex": "",
            **(every if self.many else {}),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right, and on below when the line is full."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page. ``uid`` is its address, and what the other one links to."""

    uid: str
    title: str
    says: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    hours: int = 3

    def text(self) -> str:
        """The file."""
        return json.dumps(self.json(), indent=2) + "\n"

    def json(self) -> dict[str, Any]:
        """What is in it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.says,
            "tags": ["taskbridge"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "timezone": "browser",
            "time": {"from": f"now-{self.hours}h", "to": "now"},
            "annotations": {"list": []},
            "links": [_to_others()],
            "templating": {"list": [_source(), *(variable.json() for variable in self.variables)]},
            "panels": list(_placed(self.rows)),
        }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _to_others() -> dict[str, Any]:
    shown = {"asDropdown": False, "includeVars": True, "keepTime": True, "targetBlank": False}
    return {"type": "dashboards", "title": "taskbridge", "tags": ["taskbridge"], "icon": "external link", **shown}


def _placed(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    """Yield all panels with ids and places."""
    number, top = 1, 0
    for row in rows:
        place = {"h": 1, "w": WIDE, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        number, top, left, high = number + 1, top + 1, 0, 0
        for panel in row.panels:
            if left + panel.wide > WIDE:
                top, left, high = top + high, 0, 0
            place = {"h": panel.high, "w": panel.wide, "x": left, "y": top}
            yield {"id": number, **panel.json(), "gridPos": place}
            number, left, high = number + 1, left + panel.wide, max(high, panel.high)
        top += high
