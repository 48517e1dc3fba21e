"""A rule of the route table: which messages it may take, how many of them, and where to. Pure.

A message's place between 0 and 100 is a hash of its key, whatever its task and whoever sends it: one user's tasks move
together. A rule takes the stretch from 0 up to its share, so raising it moves some keys over and none back, and of two
rules with one key the smaller share lies within the larger.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

import msgspec

from ..config import BACKEND_NAME
from ..errors import ConfigError
from ..options import check_queue_name, check_tag
from ..policies import key as keys
from .shares import place_of

#: Most characters of a task's name, and of a key's template.
LONGEST_NAME = 200

#: A rule's own name, by which it is changed and taken out.
RULE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


class Rule(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,  # what a newer release asks for beside this would be taken without being asked
):
    """Sends messages to a backend.

    Args:
        id: its name in the table.
        to: the backend, by its name in the settings.
        task: the task's name; ``*`` stands for any text, dots too. Empty is any task.
        queue: the queue's name. Empty is any.
        tag: one of the task's tags. Empty is any, or none.
        share: how much of them, 0 to 100 percent. Defaults to all.
        key: what the share is sticky by, such as ``{user_id}``. Defaults to the message id.

    Raises:
        ConfigError: a name that cannot be, a share out of its range, a key that names no argument, or no condition.
    """

    id: str
    to: str
    task: str = ""
    queue: str = ""
    tag: str = ""
    share: float = 100.0
    key: str = ""

    def __post_init__(self) -> None:
        if not RULE_ID.fullmatch(self.id):
            raise ConfigError(f"expected a rule's name of up to 60 letters, digits, -, _, . and :; got {self.id!r}")
        if not BACKEND_NAME.fullmatch(self.to):
            raise ConfigError(f"to: expected a backend's name, got {self.to!r}")
        if not (self.task or self.queue or self.tag):
            raise ConfigError("a rule needs a task, a queue or a tag; the task '*' is every task")
        if self.task and (len(self.task.split()) != 1 or len(self.task) > LONGEST_NAME):
            raise ConfigError(
                f"task: expected a name such as bank.pay, or one with * such as 'bank.*'; got {self.task!r}"
            )
        if self.queue:
            check_queue_name(self.queue)
        if self.tag:
            check_tag(self.tag)
        if not 0 <= self.share <= 100:
            raise ConfigError(f"share: expected 0 to 100 percent, got {self.share:g}")
        if self.key and (len(self.key) > LONGEST_NAME or not keys.names_in(self.key, fields_in(self.key), "key")):
            raise ConfigError(f"key: expected a template of arguments such as {{user_id}}, got {self.key!r}")

    @property
    def match(self) -> tuple[str, str, str]:
        """Task, queue and tag: which messages it may take."""
        return self.task, self.queue, self.tag

    def matches(self, task: str, queue: str, tags: Collection[str]) -> bool:
        """Whether it may take messages of this task in this queue with these tags."""
        named = not self.task or fits(self.task, task)
        return named and (not self.queue or self.queue == queue) and (not self.tag or self.tag in tags)

    def shadows(self, other: Rule) -> bool:
        """Whether nothing is left for ``other`` behind it."""
        named = not self.task or self.task == other.task or (bool(other.task) and fits(self.task, other.task))
        return named and self.queue in ("", other.queue) and self.tag in ("", other.tag) and self.exhausts(other)

    def exhausts(self, other: Rule) -> bool:
        """Whether nothing is left for ``other`` of what both match."""
        return self.share >= 100 or (self.key == other.key and self.share >= other.share)

    def __str__(self) -> str:
        by = f", sticky by {self.key}" if self.key and 0 < self.share < 100 else ""
        return f"{self.share:g} % of {self.what} to {self.to}{by}"

    @property
    def what(self) -> str:
        """Which messages it may take, in words."""
        words = [f"{word} {value}" for word, value in zip(("task", "queue", "tag"), self.match, strict=True) if value]
        return ", ".join(words)


def fits(pattern: str, name: str) -> bool:
    """Whether a task's name is of this pattern. One pattern within another is, too: only ``*`` matches a ``*``."""
    return pattern == name or ("*" in pattern and _pattern(pattern).fullmatch(name) is not None)


def place_of_key(key: str) -> float:
    """Return the place of a key, or of a message id, 0 up to 100: the same for every task and every producer."""
    return place_of("key " + key)  # ids of ticks are hashed for their jitter, too: those must not go together


@lru_cache(maxsize=512)
def fields_in(template: str) -> tuple[str, ...]:
    """Return the arguments that a key's template names."""
    return tuple(keys.fields_in(template))


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
