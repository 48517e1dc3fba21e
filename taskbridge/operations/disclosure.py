"""What people are shown of a message: its arguments by name, and what was said of it, without what is secret.

Secret is what stands under a name that sounds so, and a value whose name nobody tells: it could be anything. Names are
those of the bridge's tasks, else those that live workers announce. Code that a traceback quotes stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..bridge import Bridge
from ..message import Message
from ..routes.signatures import Signatures
from ..shown.scrubbing import FILTERED, Scrubber
from ..shown.text import without_passwords
from ..shown.values import Values
from ..shown.written import hidden

#: What stands for values that have no name.
NAMELESS = "not shown: no live worker says what it is called; --module with the task's module does"

#: What of a traceback no run has put there: the line of a file with the code that it quotes, and what an error is.
_CODE = re.compile(
    r"""(^[ |+-]*File\ "[^"\n]*",\ line\ [0-9]+[^\n]*\n(?:[ |]*[ ]{4}[^\s|][^\n]*\n)?"""
    r"""|^[ |+-]*[\w.]*(?:Error|Exception):[ ])""",
    re.MULTILINE,
)


class Disclosure:
    """Shows messages.

    Args:
        bridge: whose tasks and store.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._scrubber = Scrubber()
        self._announced = Signatures(bridge.store, bridge.clock)

    def of(self, message: Message | None) -> Disclosed:
        """Return what may be shown of one; of none nothing is known but what was said."""
        return Disclosed(message, self._names(message.task) if message else (), self._scrubber)

    def _names(self, task: str) -> Sequence[str]:
        definition = self._bridge.definitions.get(task)
        return definition.arguments.positional if definition else self._announced(task)


class Disclosed:
    """What may be shown of one message.

    Args:
        message: it.
        names: what its arguments are called that are given by their place.
        scrubber: knows what is secret.
    """

    def __init__(self, message: Message | None, names: Sequence[str], scrubber: Scrubber) -> None:
        args, kwargs = _called(message)
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        nameless = args[len(names) :]
        self._scrubber = scrubber
        self._values = Values([*scrubber.secrets(named), *scrubber.secrets(nameless, secret=True)])
        #: The arguments that have a name, and what stands for each of the others.
        self.named: Mapping[str, Any] = scrubber.scrubbed(named)
        self.nameless: Sequence[str] = [NAMELESS] * len(nameless)

    def text(self, said: str) -> str:
        """Return what was said of it, an error or a traceback, without what is secret."""
        pieces = _CODE.split(without_passwords(said))  # every other one is code
        shown = [piece if n % 2 else hidden(piece, self._scrubber.secret, FILTERED) for n, piece in enumerate(pieces)]
        return str(self._values.hidden("".join(shown)))


def _called(message: Message | None) -> tuple[list[Any], dict[str, Any]]:
    """What a task is called with, as it is; nothing where that cannot be read."""
    if message is None:
        return [], {}
    try:
        args = msgspec.json.decode(message.args, type=list[Any])
        return args, msgspec.json.decode(message.kwargs, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return [], {}
