"""As much of PromQL as is needed to say which series and labels a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.registry import Collector

from taskbridge.monitoring.alerts import RECORDS
from taskbridge.observe.facts import Facts, Group
from taskbridge.observe.gauges import GAUGES
from taskbridge.observe.metrics.series import EVERY
from taskbridge.observe.metrics.worker import WorkerSeries

#: What a target has, whatever it serves.
TARGET = {"job", "instance"}

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-zA-Z.]*|\S')
_NAME = re.compile(r"[a-zA-Z_:]")

#: Words between queries; what stands before a bracket or ``by`` is a function.
_WORDS = {"by", "on", "and", "or", "unless", "offset"}


@dataclass(slots=True)
class Read:
    """What a query names: series with the labels of their matchers, and labels that it groups or joins by."""

    series: list[tuple[str, set[str]]] = field(default_factory=list)
    by: set[str] = field(default_factory=set)

    def faults(self, known: Mapping[str, set[str]]) -> Iterator[str]:
        """Say what nobody serves."""
        for name, labels in self.series:
            if name not in known:
                yield f"no series is called {name}"
            elif labels - known[name] - TARGET:
                yield f"{name} has no label {labels - known[name] - TARGET}"
        every = TARGET.union(*(known.get(name, set()) for name, _ in self.series))
        if self.by - every:
            yield f"none of its series has {self.by - every}"

    def labels(self, known: Mapping[str, set[str]]) -> set[str]:
        """Those of its answers: what it groups by, else what its series have."""
        return self.by or TARGET.union(*(known[name] for name, _ in self.series))


def read(query: str) -> Read:
    """Read a query."""
    found, tokens, at = Read(), _TOKEN.findall(query), 0
    while at < len(tokens):
        token, after = tokens[at], (tokens[at + 1] if at + 1 < len(tokens) else "")
        if token in {"by", "on"}:
            end = tokens.index(")", at)
            found.by.update(one for one in tokens[at + 2 : end] if one != ",")
            at = end
        elif _NAME.match(token) and token not in _WORDS and after not in {"(", "by"}:
            end = tokens.index("}", at) if after == "{" else at
            names = [one for one, sign in zip(tokens[at:end], tokens[at + 1 : end + 1], strict=True) if sign in "=!"]
            found.series.append((token, {one for one in names if _NAME.match(one)}))
            at = end
        at += 1
    return found


def served() -> dict[str, set[str]]:
    """Every series that processes, supervisors and gauges have, with its labels; of the code that makes them."""
    names = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    made = {
        f"{one.name}{end}": {*one.label_names} | ({"le"} if end == "_bucket" else set())
        for one in EVERY
        for end in names[one.kind]
    }
    made |= {name: {*labels} for name, (_, labels) in GAUGES.items()}
    return made | _collected(WorkerSeries(lambda: FACTS))


def known() -> dict[str, set[str]]:
    """The same with what Prometheus has of itself, and what the rules record."""
    made = served() | {"up": set(), "ALERTS": {"alertname", "alertstate"}}
    for record in RECORDS:
        made[record.name] = read(record.query.replace("$by", "job")).labels(made)
    return made


def _collected(collector: Collector) -> dict[str, set[str]]:
    return {sample.name: {*sample.labels} for metric in collector.collect() for sample in metric.samples}


FACTS = Facts(
    groups={"g": Group(wanted=1, alive=1, active=1, busy_s=1.0, utilisation=1.0)}, replaced={("g", "crash"): 1}
)
