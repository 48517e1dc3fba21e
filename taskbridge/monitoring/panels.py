"""Panels of Grafana, as its JSON: a graph, a number, a heatmap, a table.

Written for Grafana 10 and 11: their panel types ``timeseries``, ``stat``, ``heatmap`` and ``table``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

#: The data source that the dashboard's first variable chooses.
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

#: How high panels are; a row is 24 wide.
HEIGHT = 8

#: One colour a name, the same in each panel.
BY_NAME = {"mode": "palette-classic-by-name"}


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and what each answer is called: ``{{label}}`` is filled in."""

    text: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What every panel has.

    Args:
        title: a few words.
        says: what it shows, and what to make of it.
        unit: Grafana's name of it: ``s``, ``ops``, ``short``, ``percentunit``.
        queries: asked in turn.
        wide: of 24.
        repeat: a variable: one panel for each value, side by side.
        most: the end of the axis, where there is one.
    """

    kind: ClassVar[str] = "timeseries"
    high: ClassVar[int] = HEIGHT

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    wide: int = 8
    repeat: str = ""
    most: float | None = None

    def json(self) -> dict[str, Any]:
        """The panel without its place."""
        made: dict[str, Any] = {
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "datasource": SOURCE,
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": [self._target(query, ref) for query, ref in zip(self.queries, "ABCDEFGH", strict=False)],
        }
        if self.repeat:
            made |= {"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 4}
        return made

    def _defaults(self) -> dict[str, Any]:
        ends = {"min": 0} if self.most is None else {"min": 0, "max": self.most}
        return {"unit": self.unit, **ends, **self._drawn()}

    def _drawn(self) -> dict[str, Any]:
        line = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False}
        return {"color": BY_NAME, "custom": line}

    def _options(self) -> dict[str, Any]:
        return {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def _target(self, query: Query, ref: str) -> dict[str, Any]:
        return {
            "refId": ref,
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": query.text,
            "legendFormat": query.legend,
            "range": True,
        }


class Graph(Panel):
    """Lines over time."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Panel):
    """What it is now; ``red_from`` and above is a fault, and so is what is below ``red_below``."""

    kind: ClassVar[str] = "stat"
    high: ClassVar[int] = 4

    wide: int = 3
    red_from: float | None = None
    red_below: float | None = None
    words: Mapping[str, str] = field(default_factory=dict)

    def _drawn(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": "text", "value": None}]
        if self.red_below is not None:
            steps = [{"color": "red", "value": None}, {"color": "green", "value": self.red_below}]
        elif self.red_from is not None:
            steps = [{"color": "green", "value": None}, {"color": "red", "value": self.red_from}]
        shown = {value: {"text": word, "index": index} for index, (value, word) in enumerate(self.words.items())}
        mappings = [{"type": "value", "options": shown}] if shown else []
        return {"thresholds": {"mode": "absolute", "steps": steps}, "mappings": mappings}

    def _options(self) -> dict[str, Any]:
        return {
            "colorMode": "value",
            "graphMode": "none" if self.words else "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }


class Heat(Panel):
    """A histogram over time: how many are in each bucket."""

    __slots__ = ()
    kind: ClassVar[str] = "heatmap"

    def _defaults(self) -> dict[str, Any]:
        return {}

    def _options(self) -> dict[str, Any]:
        return {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"show": True, "mode": "single", "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "unit": self.unit},
        }

    def _target(self, query: Query, ref: str) -> dict[str, Any]:
        return {**Panel._target(self, query, ref), "format": "heatmap", "legendFormat": "{{le}}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """A row for each answer, highest first; or a row for each of ``rows`` and a column for each of ``columns``.

    ``links`` has the address of another dashboard for a column, ``heads`` what columns are called.
    """

    kind: ClassVar[str] = "table"

    rows: str = ""
    columns: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        made = Panel.json(self)
        made["fieldConfig"]["overrides"] = [_linked(column, url) for column, url in self.links.items()]
        made["transformations"] = self._shaped()
        return made

    def _drawn(self) -> dict[str, Any]:
        return {"custom": {"align": "auto", "filterable": True}}

    def _options(self) -> dict[str, Any]:
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}

    def _shaped(self) -> list[dict[str, Any]]:
        names = {"excludeByName": {"Time": True}, "renameByName": dict(self.heads)}
        if not self.columns:
            first = [{"id": "sortBy", "options": {"sort": [{"field": "Value", "desc": True}]}}]
            return [*first, {"id": "organize", "options": names}]
        matrix = {"columnField": self.columns, "rowField": self.rows, "valueField": "Value", "emptyValue": "null"}
        corner = f"{self.rows}\\{self.columns}"
        heads = {"excludeByName": {}, "renameByName": {corner: self.rows, **self.heads}}
        return [{"id": "groupingToMatrix", "options": matrix}, {"id": "organize", "options": heads}]

    def _target(self, query: Query, ref: str) -> dict[str, Any]:
        return {**Panel._target(self, query, ref), "format": "table", "instant": True, "range": False}


def _linked(column: str, url: str) -> dict[str, Any]:
    links = [{"title": "This one in depth", "url": url}]
    return {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "links", "value": links}]}
