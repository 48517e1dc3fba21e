"""What the alerts are judged by: numbers that teams choose. Spans are seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ConfigError

#: What the label of a target may be called. Source: Prometheus, "Data model".
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_number(value: float, name: str = "") -> None:
    """Refuse what is no threshold.

    Raises:
        ConfigError: it is negative, or no number.
    """
    if not (value >= 0 and math.isfinite(value)):
        raise ConfigError(f"{name and f'{name}: '}expected a number of 0 or more, got {value!r}")


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that must not be passed; ``apart`` are those of some queues or tasks, by name."""

    value: float
    apart: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (self.value, *self.apart.values()):
            check_number(value)

    def passed(self, series: str, label: str) -> str:
        """Return the query for the series that pass it; ``label`` is what ``apart`` names."""
        others = ",".join(f"{label}!={quoted(name)}" for name in self.apart)
        some = [f"{series}{{{label}={quoted(name)}}} > {value:g}" for name, value in self.apart.items()]
        return "\nor ".join([f"{series}{others and f'{{{others}}}'} > {self.value:g}", *some])


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The numbers of all alerts.

    Args:
        oldest_age: how long the oldest message of a queue may wait.
        failure_ratio: which share of a task's messages may fail for good, 0 to 1, of those that end in ten minutes.
        attempt_ratio: which share of its attempts may fail, 0 to 1, of five minutes, those that are made again, too.
        failure_attempts: of fewer messages, or attempts, no share is judged.
        dead_letters: how many may come to a queue in 15 minutes.
        growth: by which share of what is begun a queue may grow.
        behind: how much work may wait while it grows, seconds at the present pace.
        store_p99: how long 99 of 100 round trips to the store may take.
        relay_lag: how late the relay may be.
        label: of a scraped target, says whose namespace it serves.
        spans: all windows and all waits times this; below 1 for trying the rules out.

    Raises:
        ConfigError: a number that is none or is negative, a share above 1, a label that Prometheus would not take.
    """

    oldest_age: Bound = Bound(300)
    failure_ratio: Bound = Bound(0.1)
    attempt_ratio: Bound = Bound(0.9)
    failure_attempts: float = 20
    dead_letters: Bound = Bound(0)
    growth: float = 0.05
    behind: float = 60
    store_p99: float = 0.05
    relay_lag: float = 30
    label: str = "job"
    spans: float = 1.0

    def __post_init__(self) -> None:
        for name in ("failure_attempts", "growth", "behind", "store_p99", "relay_lag"):
            check_number(getattr(self, name), name)
        for name in ("failure_ratio", "attempt_ratio"):
            bound: Bound = getattr(self, name)
            for value in (bound.value, *bound.apart.values()):
                if value > 1:
                    raise ConfigError(f"{name}: expected a share of 0 to 1 such as 0.1, got {value:g}")
        if not (self.spans > 0 and math.isfinite(self.spans)):
            raise ConfigError(f"spans: expected a factor above 0 such as 0.5, got {self.spans!r}")
        check_label(self.label)


def check_label(label: str) -> None:
    """Refuse what Prometheus would not take as a label's name.

    Raises:
        ConfigError: it is none.
    """
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"expected the name of a label such as job or namespace, got {label!r}")


def quoted(text: str) -> str:
    """Return a text as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
