"""``taskbridge routes shadow``, ``unshadow`` and ``shadows``: a share of a task run twice, and what that came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .common import FORCE, NOTE, as_json, on_a_bridge, opened
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..operations.shadows import Compared
    from ..operations.shadows import Set as SetShadow
    from ..store.shadows import Disagreement, Tally, Told

SHADOW_EXAMPLES = """\b
Examples:
  taskbridge routes shadow app.score --to dramatiq --share 5 --key '{user_id}' --note "does it score alike?"
  taskbridge routes shadow app.score --share 20          # the same one; the rest stays
  taskbridge routes shadow app.score --to new --share 1 --module app.tasks --dry-run
"""

UNSHADOW_EXAMPLES = """\b
Examples:
  taskbridge routes unshadow app.score --note "they agree"
"""

SHADOWS_EXAMPLES = """\b
Examples:
  taskbridge routes shadows
  taskbridge routes shadows --limit 100 --json
"""


@click.command(epilog=SHADOW_EXAMPLES)
@click.argument("task")
@click.option("--to", metavar="BACKEND", help="Where copies go: a backend by its name in the settings.")
@click.option("--share", type=float, metavar="PERCENT", help="How much of the task's messages have a copy.")
@click.option(
    "--key", metavar="TEMPLATE", help="What the share is sticky by, such as '{user_id}'; '' is the message id."
)
@NOTE
@FORCE
@click.option("--dry-run", is_flag=True, help="Say what would be wrong; change nothing.")
@on_a_bridge
@as_json
def shadow(
    task: str,
    to: str | None,
    share: float | None,
    key: str | None,
    note: str,
    force: bool,
    dry_run: bool,
    module: str | None,
    chdir: str,
    json: bool,
) -> None:
    """Run a copy of a share of TASK on another backend, to be compared: never settled, without effects.

    TASK is declared with shadow_safe=True by whoever has it. It has one shadow; what is not named of it stays.
    """
    from ..operations import shadows as work

    wanted = work.Wanted(task=task, to=to, share=share, key=key)
    with opened([module], chdir) as bridge:
        done = work.set_shadow(bridge, wanted, note, modules=module is not None, force=force, dry_run=dry_run)
    if json:
        say_json(
            {"version": done.version, "written": done.written, "dry_run": dry_run, "shadow": _plain_rule(done.shadow)}
        )
    else:
        _say_set(done, dry_run=dry_run)


@click.command(epilog=UNSHADOW_EXAMPLES)
@click.argument("task")
@NOTE
@on_a_bridge
def unshadow(task: str, note: str, module: str | None, chdir: str) -> None:
    """Send no more copies of TASK, within a second. What was counted stands for a week."""
    from ..operations import shadows as work

    with opened([module], chdir) as bridge:
        done = work.remove_shadow(bridge, task, note)
    back = f"`taskbridge routes revert {done.version - 1}` takes it back"
    say(f"version {done.version} has no shadow of {task}; {back}")


@click.command(epilog=SHADOWS_EXAMPLES)
@click.option(
    "--limit", default=10, type=click.IntRange(0), show_default=True, help="How many disagreements, the last ones."
)
@on_a_bridge
@as_json
def shadows(limit: int, module: str | None, chdir: str, json: bool) -> None:
    """Show what shadows came to: how many pairs agree, how many differ and by what, and the last that do."""
    from ..operations import shadows as work

    with opened([module], chdir) as bridge:
        found, disagreements = work.compared(bridge, limit)
    if json:
        say_json(
            {"shadows": list(map(_plain, found)), "disagreements": [_plain_disagreement(one) for one in disagreements]}
        )
        return
    if not found:
        say("nothing is shadowed")
        return
    rows = [_row(one) for one in found]
    table(COLUMNS, rows, numbers=COLUMNS[3:])
    _say_disagreements(disagreements)


COLUMNS = (
    *("shadow", "of", "to", "share", "pairs", "agreed", "outcome", "result"),
    *("only original", "only copy", "unended", "times", "would send"),
)


def _row(one: Compared) -> Sequence[object]:
    rule, tally = one.rule, one.tally
    return (
        tally.rule,
        tally.task,
        rule.to if rule else "-",
        f"{rule.share:g} %" if rule else "removed",
        *(tally.pairs, tally.agreed, tally.outcome, tally.result),
        *(_only(tally, "original"), _only(tally, "copy"), _unended(tally)),
        f"{tally.copy_us / tally.original_us:.2f}" if tally.original_us else "-",
        tally.unsent,
    )


def _say_disagreements(found: Sequence[Disagreement]) -> None:
    from ..operations.words import instant

    if not found:
        return
    say()
    rows = [
        (instant(one.at_ms), one.rule, one.task, one.id, one.by, _side(one.original), _side(one.copy)) for one in found
    ]
    table(("when", "shadow", "of", "id", "differs by", "original", "copy"), rows)


def _side(told: Told) -> str:
    what = told.why or f"{told.outcome}{f' with {told.digest[:8]}' if told.digest else ''}"
    return f"{told.backend}: {what}"


def _only(tally: Tally, side: str) -> int:
    return max(0, (tally.originals if side == "original" else tally.copies) - tally.pairs)


def _unended(tally: Tally) -> int:
    return max(0, tally.begun - tally.copies)


def _say_set(done: SetShadow, *, dry_run: bool) -> None:
    say(f"{done.shadow.id}: a shadow of {done.shadow}")
    if dry_run:
        say("nothing was changed")
    elif done.written:
        back = f"`taskbridge routes unshadow {done.shadow.task}` ends it"
        say(f"version {done.version} holds within a second; {back}, `taskbridge routes shadows` tells what it came to")
    else:
        say(f"it is so already, since version {done.version} or before")


def _plain_rule(rule: Any) -> dict[str, Any]:
    return {word: getattr(rule, word) for word in ("id", "task", "to", "share", "key")}


def _plain(one: Compared) -> dict[str, Any]:
    tally = one.tally
    return {
        "shadow": tally.rule,
        "task": tally.task,
        "rule": _plain_rule(one.rule) if one.rule else None,
        "pairs": tally.pairs,
        "agreed": tally.agreed,
        "disagreed": {"outcome": tally.outcome, "result": tally.result},
        "only_original": _only(tally, "original"),
        "only_copy": _only(tally, "copy"),
        "unended": _unended(tally),
        "original_ms": tally.original_us / 1000,
        "copy_ms": tally.copy_us / 1000,
        "would_send": tally.unsent,
    }


def _plain_disagreement(one: Disagreement) -> dict[str, Any]:
    from ..operations.words import instant

    plain = {"shadow": one.rule, "task": one.task, "id": one.id, "by": one.by, "at": instant(one.at_ms)}
    return plain | {"original": _plain_told(one.original), "copy": _plain_told(one.copy)}


def _plain_told(told: Told) -> dict[str, Any]:
    return {
        "backend": told.backend,
        "outcome": told.outcome,
        "digest": told.digest,
        "why": told.why,
        "ran_ms": told.ran_us / 1000,
    }
