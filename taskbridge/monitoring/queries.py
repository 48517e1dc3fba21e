"""PromQL as panels have it: the few shapes of a question, narrowed by the dashboard's variables.

``$__rate_interval`` is Grafana's: a window that the panel's width and the scrape interval allow.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which variables narrow a series: those of the labels it has.

    Args:
        label: says whose namespace a target serves.
        labels: others, each with a variable of its name.
    """

    label: str
    labels: tuple[str, ...] = ()

    def of(self, name: str, **only: str) -> str:
        """The samples of a series; ``only`` are further labels, each with a pattern."""
        parts = [f'{self.label}=~"$namespace"', *(f'{label}=~"${label}"' for label in self.labels)]
        parts += [f'{label.rstrip("_")}=~"{pattern}"' for label, pattern in only.items()]
        return f"{name}{{{','.join(parts)}}}"

    def rate(self, name: str, by: str, window: str = WINDOW, offset: str = "", **only: str) -> str:
        """How much a counter grows, a second."""
        return f"sum by ({by}) (rate({self.of(name, **only)}[{window}]{offset and f' offset {offset}'}))"

    def gained(self, name: str, by: str, **only: str) -> str:
        """How much a counter has grown in the time that is shown."""
        return f"sum by ({by}) (increase({self.of(name, **only)}[$__range]))"

    def quantile(self, share: float, name: str, by: str, window: str = WINDOW, offset: str = "", **only: str) -> str:
        """What so many of a histogram do not exceed."""
        by_bucket = f"{by}, le" if by else "le"
        return f"histogram_quantile({share:g}, {self.rate(f'{name}_bucket', by_bucket, window, offset, **only)})"

    def mean(self, name: str, by: str, **only: str) -> str:
        """The mean of a histogram."""
        return f"{self.rate(f'{name}_sum', by, **only)} / {self.rate(f'{name}_count', by, **only)}"

    def buckets(self, name: str, **only: str) -> str:
        """A histogram as it is."""
        return f"sum by (le) (increase({self.of(f'{name}_bucket', **only)}[{WINDOW}]))"

    def most(self, name: str, by: str, **only: str) -> str:
        """The most that any process says of the same thing: several may show one store."""
        return f"max by ({by}) ({self.of(name, **only)})" if by else f"max({self.of(name, **only)})"

    def in_all(self, name: str, by: str, **only: str) -> str:
        """The sum of a gauge over what it is shown ``by``."""
        return f"sum({self.most(name, by, **only)})"


def top(many: int, query: str) -> str:
    """The highest of them."""
    return f"topk({many}, {query})"
