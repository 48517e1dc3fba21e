"""Rules for Prometheus: what is recorded, and what is an alert, as the text of a file that Prometheus loads.

Descriptions are templates: ``$name`` stands for what ``Thresholds`` says, and windows are scaled by its ``spans``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from .thresholds import Thresholds
from .yaml import Value, yaml_of

HEAD = """\
# Made by `taskbridge monitoring rules`; its options are the thresholds. What each alert means: docs/alerts.md.
"""

#: Where the runbooks are unless somebody says where.
RUNBOOKS = "docs/alerts.md"

#: A span in a query: a window in brackets.
_WINDOW = re.compile(r"\[([0-9]+)([smhd])\]")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Record:
    """A query whose answer Prometheus keeps as a series of its own."""

    name: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A query that has an answer for each thing that is wrong.

    ``lasts`` is how long it must be wrong; ``severity`` is ``critical`` (somebody has to act now) or ``warning``.
    """

    name: str
    query: str
    lasts: str
    severity: str
    summary: str
    description: str


def text_of_rules(
    records: tuple[Record, ...], alerts: tuple[Alert, ...], thresholds: Thresholds, runbooks: str = RUNBOOKS
) -> str:
    """Return the file.

    Args:
        records: stand first, for alerts ask for them.
        alerts: in their order.
        thresholds: what they are judged by.
        runbooks: the address of the page that has a heading for each alert.
    """
    filled = _Filled(thresholds)
    rules: list[Value] = [{"record": one.name, "expr": filled(one.query)} for one in records]
    rules += [_alert(one, filled, runbooks) for one in alerts]
    return HEAD + yaml_of({"groups": [{"name": "taskbridge", "rules": rules}]})


def _alert(alert: Alert, filled: _Filled, runbooks: str) -> Value:
    return {
        "alert": alert.name,
        "expr": filled(alert.query),
        "for": filled.span(alert.lasts),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": filled(alert.summary),
            "description": filled(alert.description),
            "runbook_url": f"{runbooks}#{alert.name.lower()}",
        },
    }


class _Filled:
    """Fills a description in."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._spans = thresholds.spans
        self._values = values_of(thresholds)

    def __call__(self, text: str) -> str:
        """Of a query or a sentence. What Prometheus fills in (``$labels``, ``$value``) is left alone."""
        said = Template(text).safe_substitute(self._values)
        return _WINDOW.sub(lambda found: f"[{self.span(found[1] + found[2])}]", said)

    def span(self, text: str) -> str:
        """Of a span such as ``5m``."""
        if self._spans == 1:
            return text
        return f"{max(1, round(int(text[:-1]) * _SECONDS[text[-1]] * 1000 * self._spans))}ms"


def values_of(thresholds: Thresholds) -> Mapping[str, str]:
    """What stands for the names in the descriptions."""
    return {
        "by": thresholds.label,
        "too_old": thresholds.oldest_age.passed("queue:taskbridge_queue_oldest_age_seconds:max", "queue"),
        "too_many_dead": thresholds.dead_letters.passed("queue:taskbridge_dead:growth15m", "queue"),
        "fails_too_often": thresholds.failure_ratio.passed("task:taskbridge_failed:ratio10m", "task"),
        "tries_in_vain": thresholds.attempt_ratio.passed("task:taskbridge_failed_attempts:ratio5m", "task"),
        "attempts": f"{thresholds.failure_attempts:g}",
        "growth": f"{thresholds.growth:g}",
        "behind": f"{thresholds.behind:g}",
        "store_p99": f"{thresholds.store_p99:g}",
        "relay_lag": f"{thresholds.relay_lag:g}",
    }
