"""What the queues of an engine are called on SQS.

A queue of ours is up to four there, read in this order: ``q-front`` for what has waited already, for SQS puts nothing
before anything; ``q-high``, ``q`` and ``q-low``. An engine with a suffix has ``q-SUFFIX-front`` and so on, so that no
two engines share a queue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import NotSupported
from ..options import BAND_SUFFIXES

#: What has waited already, for a lock or a limit, lies in a queue of this suffix.
FRONT = "-front"

#: The queues of one of ours, in the order they are read.
PARTS = (FRONT, *BAND_SUFFIXES)

#: How long a name may be, but for its part.
#: Source: Amazon SQS Developer Guide, "Amazon SQS standard queue quotas": 80 letters, digits, hyphens and underscores.
LONGEST = 80 - max(map(len, PARTS))
VALID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one engine's queues.

    Args:
        prefix: that of the settings.
        suffix: this engine's; empty for the first.
        others: the suffixes of others, which no queue of this engine may end in.
    """

    prefix: str = ""
    suffix: str = ""
    others: tuple[str, ...] = ()

    def of(self, queue: str, part: str = "") -> str:
        """Return the name of a queue, or of one of its parts.

        Raises:
            NotSupported: SQS cannot have it, or it is a part of another queue, or another engine's.
        """
        name = self.prefix + queue + self.suffix
        if not VALID.fullmatch(name):
            raise NotSupported(
                f"the queue {queue!r} would be called {name!r} on SQS, which takes letters, digits, - and _, "
                f"and up to {LONGEST} of them here: choose another queue, or another queue_prefix"
            )
        if queue.endswith(FRONT):
            raise NotSupported(f"a queue whose name ends in {FRONT!r} is a part of another queue on SQS, got {queue!r}")
        for other in self.others:
            if _whole(queue).endswith(other):
                raise NotSupported(f"a queue whose name ends in {other!r} is another engine's on SQS, got {queue!r}")
        return name + part

    def all_of(self, queue: str) -> list[str]:
        """Return the names of all parts of a queue, the queue itself first."""
        return [self.of(queue, part) for part in sorted(PARTS, key=bool)]

    def given(self, urls: Mapping[str, str]) -> dict[str, str]:
        """Return URLs that are given by ``emails`` or ``emails-high`` by what these are called on SQS."""
        named = {}
        for key, url in urls.items():
            queue = _whole(key)
            named[self.of(queue, key.removeprefix(queue))] = url
        return named

    def queue_of(self, name: str) -> str:
        """Return the queue that a name is of."""
        return _whole(name).removeprefix(self.prefix).removesuffix(self.suffix)


def _whole(name: str) -> str:
    """Return the name of which this one is a part."""
    return name.removesuffix(next((part for part in PARTS if part and name.endswith(part)), ""))
