"""A mailing to as many users as ``FAULTS_TOTAL`` says: each mail adds its user to a file of its process."""

from __future__ import annotations

import os
import struct
from functools import cache

from taskbridge import Chunk, chunked, ids, task

from .tasks import FOLDER, QUEUE


@task(queue=QUEUE)
def mail(user: int) -> None:
    """Note the user, in one write: whole or not at all."""
    os.write(_file(os.getpid()), struct.pack("=I", user))


@task(queue=QUEUE)
@chunked(over=ids(0, lambda: int(os.environ["FAULTS_TOTAL"])), size=1_000, max_backlog=5_000)
def mail_all(chunk: Chunk[int]) -> None:
    """Enqueue a mail for each user."""
    mail.enqueue_many({"user": user} for user in chunk)


@cache
def _file(pid: int) -> int:
    return os.open(FOLDER / f"mailed-{pid}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
