"""Lua files as callables: read from the package, sent by hash, loaded when the server does not know them.

A file with the line ``-- begins with look.lua`` is put behind that file, whole; one with the line ``-- goes on with
flow.lua`` has that one there, without what it begins with already. Nothing else is joined.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from .server import Ahead, Argument, Reply, Server, bulk

_BEGINS = re.compile(r"^-- begins with (\w+)\.lua$", re.MULTILINE)
_NO_CODE = re.compile(r"^[ \t]*(?:--.*)?", re.MULTILINE)
_GOES_ON = re.compile(r"^-- goes on with (\w+)\.lua$", re.MULTILINE)


class Script:
    """One verb on one server, with its fixed keys packed once.

    Args:
        server: where it runs.
        package: where its file lies, such as ``taskbridge.store.redis``.
        name: the file, without ``lua/`` and ``.lua``.
        keys: its fixed keys.
        more_keys: how many keys come with each call, after the fixed ones.
    """

    def __init__(self, server: Server, package: str, name: str, keys: Sequence[str], more_keys: int = 0) -> None:
        text = compact(source(package, name))
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        server.remember(text)
        self._server = server
        self._words = 3 + len(keys)
        head: list[Argument] = ["EVALSHA", sha, len(keys) + more_keys, *keys]
        self._head = b"".join(map(bulk, head))

    def packed(self, *words: Argument) -> bytes:
        """Return the call as the server reads it, to be sent with others in one trip: its keys, then arguments."""
        return b"".join((b"*%d\r\n" % (self._words + len(words)), self._head, *map(bulk, words)))

    def __call__(self, *words: Argument) -> Reply:
        """Run it and return its reply.

        Raises:
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        return self._server.exchange(self.packed(*words), 1)[0]

    def ahead(self, *words: Argument) -> Ahead:
        """Ask for it to be run and go on meanwhile.

        Raises:
            StoreUnavailable: as ``Server.ahead``.
        """
        return self._server.ahead(self.packed(*words))


def compact(text: str) -> str:
    """Return a script without comments and indents, each line where it was: the server keeps every script in memory."""
    return _NO_CODE.sub("", text)


@lru_cache(maxsize=64)
def source(package: str, name: str) -> str:
    """Return the text of a script, behind the file that it says it begins with, around the one it goes on with."""
    text = (files(package) / "lua" / f"{name}.lua").read_text()
    begins, goes_on = _BEGINS.search(text), _GOES_ON.search(text)
    head = source(package, begins[1]) if begins else ""
    if goes_on:
        text = text.replace(goes_on[0], source(package, goes_on[1]).removeprefix(head))
    return head + text
