"""A task as declared: its name, its function, its options, its arguments. What a worker knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .chunking import ChunkPolicy
from .codec import Arguments
from .options import TaskOptions


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One declared task.

    ``arguments`` checks, encodes and decodes its calls; ``key_fields`` are those that its locks and limits name.
    A chunked one has ``chunks``: its function takes a chunk first, which is no argument of a call.
    ``external`` says that only workers that are not ours have it.
    """

    name: str
    function: Callable[..., Any]
    options: TaskOptions
    arguments: Arguments
    key_fields: tuple[str, ...] = ()
    chunks: ChunkPolicy | None = None
    external: bool = False


#: What a worker can run, by name.
Definitions = Mapping[str, Definition]
