"""What a worker is asked to be; travels from the supervisor to its template as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ..announcement import Known
from ..errors import ConfigError

#: How long a drain may take, seconds.
GRACE_S = 30.0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Processes that serve the same queues and no others; ``queues`` empty means those of the tasks."""

    name: str = ""
    queues: list[str] = []
    processes: int = 2


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One worker.

    ``modules`` are imported for their tasks; ``module:name`` names a ``Bridge`` in it. ``groups`` is one without a name
    where none was asked for; ``backends`` empty means the default one. ``directory`` is the current one and on
    ``sys.path``. ``reload`` is whether code that changes is taken by itself.
    A child is replaced after ``max_tasks``, or after a task that left it with more than ``max_memory_mb``; over
    ``hard_memory_mb`` it is ended at once, and its message counts a crash. MiB; 0 is no limit. ``observers`` are
    told of all that its processes do, besides those that the settings name.

    Raises:
        ConfigError: a negative limit, or a hard one below the soft one.
    """

    modules: list[str]
    groups: list[Group] = msgspec.field(default_factory=lambda: [Group()])
    backends: list[str] = []
    grace_s: float = GRACE_S
    directory: str = "."
    log_level: str = "INFO"
    log_format: str = "plain"
    reload: bool = False
    max_tasks: int = 0
    max_memory_mb: int = 0
    hard_memory_mb: int = 0
    observers: list[str] = []

    def __post_init__(self) -> None:
        for name in ("max_tasks", "max_memory_mb", "hard_memory_mb"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 (no limit) or more, got {getattr(self, name)!r}")
        if 0 < self.hard_memory_mb < self.max_memory_mb:
            raise ConfigError(
                f"hard_memory_mb: expected at least max_memory_mb ({self.max_memory_mb}), got {self.hard_memory_mb}"
            )

    @property
    def processes(self) -> int:
        """Of all groups together."""
        return sum(group.processes for group in self.groups)


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The template has imported the tasks. ``queues`` are those of each group; ``settings`` those of their bridge.

    ``schedules`` are the plans that this worker declares, by name; ``limits`` and ``known`` as it announces them.
    ``hears`` are the kinds of events that its listeners are to be told of.
    ``handed`` is what its observers have for those of the supervisor.
    """

    tasks: dict[str, list[str]]
    queues: dict[str, list[str]]
    settings: msgspec.Raw
    schedules: dict[str, msgspec.Raw] = {}
    limits: dict[str, tuple[int, int]] = {}
    known: dict[str, Known] = {}
    hears: list[str] = []
    handed: dict[str, Any] = {}


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The template cannot serve: a module does not import, a backend does not fit."""

    why: str


class Fork(msgspec.Struct, frozen=True, tag=True):
    """The supervisor wants a child of a group in a slot, called ``owner``."""

    slot: int
    owner: str
    group: str


class Forked(msgspec.Struct, frozen=True, tag=True):
    """A child runs."""

    slot: int
    pid: int


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A child is gone; ``code`` is negative for a signal, as ``subprocess`` has it."""

    pid: int
    code: int


Word = Ready | Refused | Fork | Forked | Exited

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


def line(word: Word) -> bytes:
    """Return a word as it travels between supervisor and template."""
    return _encoder.encode(word) + b"\n"


def word(text: bytes) -> Word:
    """Read what ``line`` wrote."""
    return _decoder.decode(text)
