"""A verb with verbs below it: each is listed with its whole first sentence, in as many lines as that takes."""

from __future__ import annotations

import click

#: No first sentence is longer: nothing is cut off.
LONGEST = 1_000


class Group(click.Group):
    """Click's own cuts sentences where the line ends."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(LONGEST)) for name, command in found if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
