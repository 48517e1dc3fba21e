"""``taskbridge routes``: which engine carries what, seen and changed while everything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .common import FORCE, NOTE, as_json, examples, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table
from .shadows import shadow, shadows, unshadow

if TYPE_CHECKING:
    from ..operations.routes import Listing
    from ..operations.routes import Set as SetRule
    from ..routing import Rule

EXAMPLES = """\b
Examples:
  taskbridge routes list
  taskbridge routes set --task 'bank.*' --to dramatiq --share 5 --key '{user_id}' --note "first users"
  taskbridge routes set --rule r1 --share 50
  taskbridge routes remove r1 --note "done"
  taskbridge routes history
  taskbridge routes revert 3
  taskbridge routes shadow app.score --to dramatiq --share 5
  taskbridge routes shadows
"""

SET_EXAMPLES = """\b
Examples:
  taskbridge routes set --task 'bank.*' --to dramatiq --share 5 --key '{user_id}' --note "first users"
  taskbridge routes set --task 'bank.*' --to dramatiq --share 50   # the same rule; its key stays
  taskbridge routes set --rule r1 --share 0                        # or by its name
  taskbridge routes set --queue mail --to dramatiq --dry-run       # what it would match, and what would be wrong
  taskbridge routes set --tag payments --to new --before r1 --module app.tasks
"""

REVERT_EXAMPLES = """\b
Examples:
  taskbridge routes revert 3
  taskbridge routes revert 0 --note "everything by the settings"
"""


@click.group(cls=Group, epilog=EXAMPLES)
def routes() -> None:
    """See and change which engine carries what: for every producer and relay, within a second.

    Rules in order; the first that takes a message wins. What none takes goes where the settings say.
    """


for _command in (shadow, unshadow, shadows):
    routes.add_command(_command)


@routes.command("list", epilog=examples("taskbridge routes list", "taskbridge routes list --json"))
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List the rules in their order, who changed them last, and where everything else goes."""
    from ..operations import routes as work

    with opened([module], chdir) as bridge:
        found = work.listed(bridge)
    if json:
        say_json(_plain_listing(found))
        return
    if found.rules:
        say(_told(found.version, found.at_ms, found.who, found.note))
        rows = [
            (rule.id, rule.task or "-", rule.queue or "-", rule.tag or "-", _percent(rule), rule.key or "-", rule.to)
            for rule in found.rules
        ]
        table(("rule", "task", "queue", "tag", "share", "sticky by", "to"), rows, numbers=("share",))
    else:
        say("no rule is set")
    for one in found.shadows:
        say(f"{one.id}: a shadow of {one}; `taskbridge routes shadows` tells what it came to")
    for task, shares in found.shares.items():
        parts = ", ".join(f"{percent:g} % to {name}" for name, percent in shares.items())
        say(f"by the settings: {task}: {parts}")
    say(f"everything else goes to {found.default}")


@routes.command("set", epilog=SET_EXAMPLES)
@click.option("--task", metavar="NAME", help="Messages of this task; * is any text, as in 'bank.*'.")
@click.option("--queue", metavar="NAME", help="Messages of this queue.")
@click.option("--tag", metavar="TAG", help="Messages of tasks with this tag.")
@click.option("--to", metavar="BACKEND", help="Where they go: a backend by its name in the settings.")
@click.option("--share", type=float, metavar="PERCENT", help="How much of them. Defaults to 100.")
@click.option(
    "--key", metavar="TEMPLATE", help="What the share is sticky by, such as '{user_id}'; '' is the message id."
)
@click.option("--rule", default="", metavar="NAME", help="Change the rule of this name, or give a new one this name.")
@click.option("--before", default="", metavar="NAME", help="Put it before that rule. A new one stands last.")
@NOTE
@FORCE
@click.option("--dry-run", is_flag=True, help="Say what it would match and what would be wrong; change nothing.")
@on_a_bridge
@as_json
def set_(
    task: str | None,
    queue: str | None,
    tag: str | None,
    to: str | None,
    share: float | None,
    key: str | None,
    rule: str,
    before: str,
    note: str,
    force: bool,
    dry_run: bool,
    module: str | None,
    chdir: str,
    json: bool,
) -> None:
    """Set a rule. One of the same task, queue, tag and backend is changed where it stands; what is not named stays.

    Refused is what would lead nowhere: an unknown backend or task, a share that is none, a rule that nothing is left
    to, a backend that cannot keep what a task asks for or that no live worker serves. Known is what live workers of
    `taskbridge worker` announce; with --module also what is declared there.
    """
    from ..operations import routes as work

    wanted = work.Wanted(rule=rule, task=task, queue=queue, tag=tag, to=to, share=share, key=key, before=before)
    with opened([module], chdir) as bridge:
        done = work.set_rule(bridge, wanted, note, modules=module is not None, force=force, dry_run=dry_run)
    if json:
        say_json(_plain_set(done, dry_run=dry_run))
    else:
        _say_set(done, dry_run=dry_run)


@routes.command(epilog=examples('taskbridge routes remove r1 --note "done"', "taskbridge routes remove r1 r2"))
@click.argument("rules", nargs=-1, required=True)
@NOTE
@on_a_bridge
def remove(rules: tuple[str, ...], note: str, module: str | None, chdir: str) -> None:
    """Take RULES out, by their names: what they took is left to the rules behind them, and to the settings."""
    from ..operations import routes as work

    with opened([module], chdir) as bridge:
        done = work.remove(bridge, rules, note)
    gone = ", ".join(rules)
    say(f"version {done.version} is without {gone}; `taskbridge routes revert {done.version - 1}` takes it back")


@routes.command(epilog=examples("taskbridge routes history", "taskbridge routes history --limit 100 --json"))
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True, help="How many versions.")
@on_a_bridge
@as_json
def history(limit: int, module: str | None, chdir: str, json: bool) -> None:
    """Show the last versions, the newest first: who changed what, when, and why. A hundred are kept."""
    from ..operations import routes as work
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = work.history(bridge, limit)
    if json:
        plain = [
            {
                "version": one.version,
                "at": instant(one.at_ms),
                "who": one.who,
                "note": one.note,
                "changes": one.changes,
                "rules": None if one.rules is None else list(map(_plain_rule, one.rules)),
            }
            for one in found
        ]
        say_json({"versions": plain})
    elif found:
        rows = [
            (one.version, instant(one.at_ms), one.who, one.note or "-", "; ".join(one.changes) or "-") for one in found
        ]
        table(("version", "when", "who", "note", "changes"), rows, numbers=("version",))
    else:
        say("no rule was ever set")


@routes.command(epilog=REVERT_EXAMPLES)
@click.argument("version", type=click.IntRange(0))
@NOTE
@FORCE
@on_a_bridge
def revert(version: int, note: str, force: bool, module: str | None, chdir: str) -> None:
    """Write the rules of VERSION anew; 0 is that there are none. Rules that would take more than now are checked."""
    from ..operations import routes as work

    with opened([module], chdir) as bridge:
        done = work.revert(bridge, version, note, modules=module is not None, force=force)
    say(f"version {done.version}: the rules are those of version {version}" if done.written else "they are so already")


def _say_set(done: SetRule, *, dry_run: bool) -> None:
    shown = ", ".join(done.tasks[:5]) + (" ..." if len(done.tasks) > 5 else "")
    say(f"{done.rule.id}: {done.rule}")
    say(f"it matches {len(done.tasks)} of {done.known} known tasks{': ' if shown else ''}{shown}")
    for remark in done.remarks:
        say(f"! {remark}")
    if dry_run:
        say("nothing was changed")
    elif done.written:
        say(
            f"version {done.version} holds within a second; `taskbridge routes revert {done.version - 1}` takes it back"
        )
    else:
        say(f"it is so already, since version {done.version} or before")


def _told(version: int, at_ms: int, who: str, note: str) -> str:
    from ..operations.words import instant

    return f"version {version}, {instant(at_ms)} by {who}{f': {note}' if note else ''}"


def _percent(rule: Rule) -> str:
    return f"{rule.share:g} %"


def _plain_rule(rule: Rule) -> dict[str, Any]:
    words = ("id", "task", "queue", "tag", "share", "key", "to")
    return {word: getattr(rule, word) for word in words}


def _plain_listing(found: Listing) -> dict[str, Any]:
    from ..operations.words import instant

    return {
        "version": found.version,
        "at": instant(found.at_ms),
        "who": found.who,
        "note": found.note,
        "rules": list(map(_plain_rule, found.rules)),
        "shadows": list(map(_plain_rule, found.shadows)),
        "shares": found.shares,
        "default": found.default,
    }


def _plain_set(done: SetRule, *, dry_run: bool) -> dict[str, Any]:
    return {
        "version": done.version,
        "written": done.written,
        "dry_run": dry_run,
        "rule": _plain_rule(done.rule),
        "tasks": done.tasks,
        "known": done.known,
        "remarks": done.remarks,
    }
