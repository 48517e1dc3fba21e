"""``python -m tests.conformance.matrix RESULTS...``: write what each pair keeps into docs/brokers.md.

What is kept is what the backends declare (every ``KINDS``); how many cases of ``BackendSuite`` hold it on each pair is
read from a run's results (``pytest --junitxml``), and from those of pairs that were run again after it: a case counts
as it ended last. Neither engines nor brokers are named here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from taskbridge.backend import GROUP, Capabilities
from taskbridge.broker import Kind

PAGE = Path(__file__).parents[2] / "docs" / "brokers.md"
BEGIN, END = "<!-- what each pair keeps: written by make matrix -->", "<!-- end of what each pair keeps -->"

#: Fields that say how long something takes; the others say whether it is kept.
SECONDS = {"recovery_s": "recovery", "patience_s": ""}

#: Fields that say how large something may be, bytes.
BYTES = {"max_payload"}

#: Whose worker.
WORKERS = {"ours": "taskbridge worker", "native": "the engine's own"}


class Pair(NamedTuple):
    """An engine on a broker, under one of the two workers."""

    engine: str
    broker: str
    kind: str


def declared() -> dict[Pair, Capabilities]:
    """Return what each pair declares, of every engine that has a table of kinds."""
    found: dict[Pair, Capabilities] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            kinds: Mapping[str, Kind] = import_module(f"{entry.module.partition('.')[0]}.brokers").KINDS
        except (ModuleNotFoundError, AttributeError):
            continue  # an engine without brokers
        for broker, kind in kinds.items():
            found[Pair(entry.name, broker, "ours")] = kind.capabilities
            found[Pair(entry.name, broker, "native")] = kind.own_command
    return found


def cases(*results: Path) -> dict[Pair, Counter[str]]:
    """Return how many cases of the suite passed, failed and were skipped on each pair, as they ended last."""
    suites = vars(import_module("tests.conformance.test_backends"))
    found: dict[Pair, dict[str, str]] = {}
    for case in (case for one in results for case in ET.parse(one).iter("testcase")):
        suite = suites.get(case.get("classname", "").rpartition(".")[2])
        if suite is not None and hasattr(suite, "engine"):
            pair = Pair(suite.engine, suite.broker, suite.kind)
            ended = {one.tag for one in case} & {"failure", "error", "skipped"}
            found.setdefault(pair, {})[case.get("name", "")] = ended.pop() if ended else "passed"
    return {pair: Counter(ends.values()) for pair, ends in found.items()}


def table(kept: Mapping[Pair, Capabilities], counted: Mapping[Pair, Counter[str]]) -> list[str]:
    """Return the lines of the table: a row for each pair."""
    fields = [name for name in Capabilities.__struct_fields__ if SECONDS.get(name, name)]
    titles = [SECONDS.get(name, name).replace("_", " ") for name in fields]
    head = ["engine", "broker", "worker", *titles, "cases"]
    rows = []
    for pair, capabilities in kept.items():
        cells = [_cell(name, capabilities) for name in fields]
        rows.append([*(pair.engine, pair.broker, WORKERS[pair.kind]), *cells, _counted(counted.get(pair, Counter()))])
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def written(page: str) -> list[str]:
    """Return the lines of the table that stands in a page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()


def without_cases(lines: list[str]) -> Iterator[str]:
    """Leave out what only a run can tell."""
    yield from (line.rstrip("|").rpartition("|")[0] for line in lines)


def _cell(name: str, capabilities: Capabilities) -> str:
    value = getattr(capabilities, name)
    if name in BYTES:
        return f"{value // 1024:,} KiB" if value else "any"
    return f"{value:g} s" if name in SECONDS else "yes" if value else "**no**"


def _counted(ended: Counter[str]) -> str:
    others = [f"{count} {how}" for how, count in sorted(ended.items()) if how != "passed"]
    return ", ".join([str(ended["passed"]), *others]) if ended else "not run"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table."""
    counted = cases(*map(Path, sys.argv[1:]))
    lines = "\n".join(table(declared(), counted))
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    bad = sum(ended.total() - ended["passed"] for ended in counted.values())
    sys.exit(f"{bad} cases did not pass" if bad else 0)


if __name__ == "__main__":
    main()
