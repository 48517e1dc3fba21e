"""Each fault is tried on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .evidence import Tally
from .harness import ENGINES, Stage

#: How long a test may take that names nothing else, seconds: it waits for much, and each of that may take long.
TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give them the time."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine a test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def stage(engine: str, tmp_path: Path) -> Iterator[Stage]:
    """A Redis that keeps its data, and what stands on it."""
    with Stage(engine, tmp_path / "stage") as stage:
        yield stage


@pytest.fixture
def figures(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[[Tally], None]:
    """Shows a run's figures whether the test passes or not; ``--junitxml`` keeps them."""

    def show(tally: Tally) -> None:
        print(f"{request.node.name}: {tally}")
        record_property("figures", str(tally))

    return show
