"""Each fault is tried on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import ENGINES, Stage, Tally


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
