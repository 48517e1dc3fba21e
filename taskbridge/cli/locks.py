"""``taskbridge locks``: who holds what, and breaking a lock."""

from __future__ import annotations

import click
import msgspec

from ..observe.text import safe
from .common import as_json, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

EXAMPLES = """\b
Examples:
  taskbridge locks list
  taskbridge locks break user:7
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge locks list
  taskbridge locks list --json
"""

BREAK_EXAMPLES = """\b
Examples:
  taskbridge locks break user:7          # asks first
  taskbridge locks break user:7 --yes
"""


@click.group(cls=Group, epilog=EXAMPLES)
def locks() -> None:
    """See the locks that messages and code hold, and break one."""


@locks.command("list", epilog=LIST_EXAMPLES)
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List the locks that are held or reserved: by which messages (`hold-...` is code), and how many wait."""
    with opened([module], chdir) as bridge:
        found = bridge.store.waiting.locks()
    if json:
        say_json({"locks": msgspec.to_builtins(found)})
    elif found:
        rows = [(one.key, ", ".join(one.holders) or "-", ", ".join(one.reserved) or "-", one.waiting) for one in found]
        table(("lock", "held by", "reserved for", "waiting"), rows, numbers=("waiting",))
    else:
        say("no lock is held")


@locks.command("break", epilog=BREAK_EXAMPLES)
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def break_(key: str, yes: bool, module: str | None, chdir: str) -> None:
    """Take the lock KEY from whoever holds it; the next in line has it then.

    The holder goes on running: only its fencing token, lower than the next one's, tells a resource that it is late.
    """
    from ..operations.locks import break_lock

    with opened([module], chdir) as bridge:
        held = next((one for one in bridge.store.waiting.locks() if one.key == key), None)
        if held and not yes:
            by = ", ".join((*held.holders, *held.reserved))
            click.confirm(f"Take {safe(key)} from {safe(by)}? What it runs goes on unprotected.", abort=True)
        number = break_lock(bridge.store, key)
    say(f"{safe(key)} was taken from {number}")
