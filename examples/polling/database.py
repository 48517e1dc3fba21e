"""Where the payments are kept: SQLite in a file, or PostgreSQL; ``POLLING_DATABASE_URL`` says which.

A request and a run of a task open a connection of their own: it costs less than asking a provider.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..fintech.database import Database

VARIABLE = "POLLING_DATABASE_URL"
SCHEMA = Path(__file__).with_name("schema.sql")


@contextmanager
def opened() -> Iterator[Database]:
    """Yield a connection, in autocommit, and close it."""
    db = Database(os.environ[VARIABLE])
    try:
        yield db
    finally:
        db.close()
