"""A small export, and an empty database for its books."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.fintech import database, generate
from examples.fintech.database import Database
from examples.fintech.server import NoServer, find

POSTGRES = "postgresql://postgres@127.0.0.1/postgres"

#: A small export that has something for every rule.
SEED = 7


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    generate.write(path, 200, accounts=20, seed=SEED)
    return path


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    yield from empty("sqlite:", tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))])
def each_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    yield from empty("sqlite:" if request.param == "sqlite" else postgres(), tmp_path)


def empty(server: str, folder: Path) -> Iterator[Database]:
    name = f"fintech_{uuid.uuid4().hex}"
    db = Database(database.fresh(server, name, folder))
    yield db
    db.close()
    database.remove(server, name)


def postgres() -> str:
    try:
        Database(POSTGRES).close()
    except database.NoDatabase as error:
        missing(f"no PostgreSQL at {POSTGRES}: {error}")
    return POSTGRES


def missing(service: str) -> None:
    """Without a service a test is skipped at home and fails in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(service)


@pytest.fixture
def redis() -> None:
    try:
        with find():
            return
    except NoServer as error:
        missing(str(error))
