"""The ``taskbridge`` command: one file per verb, each parses, calls one function, prints, and sets the exit code.

0 is fine, 1 an error, 2 a command that was put wrongly.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import IO, Any

import click

from ..errors import TaskbridgeError, nearest
from .group import Group

EPILOG = "Settings: TASKBRIDGE_BACKEND, TASKBRIDGE_BROKER_URL and others; see docs/settings.md."


class Refusal(click.ClickException):
    """An error of ours: one clear message and exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        from ..observe.text import safe
        from ..redis.url import redacted

        click.echo(f"taskbridge: {safe(redacted(self.message), lines=True)}", file=file, err=True)


class Verbs(Group):
    """The verbs, imported when used."""

    names = (
        *(
            "batches",
            "check",
            "compare",
            "control",
            "dashboard",
            "dead",
            "limits",
            "locks",
            "messages",
            "metrics",
            "migrate",
            "monitoring",
            "purge",
            "queues",
            "relay",
            "routes",
            "runs",
            "schedules",
            "send",
            "status",
            "tasks",
            "top",
        ),
        *("why", "worker", "workers"),
    )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        from importlib import import_module

        if name not in self.names:
            return None
        command: click.Command = getattr(import_module(f".{name}", __package__), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args:
            if not _is_text(word) and not os.path.exists(word):
                ctx.fail(f"expected text in UTF-8, got {word!a}")
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.names and not args[0].startswith("-"):
            ctx.fail(f"no command is called {args[0]!r}{nearest(args[0], self.names)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TaskbridgeError as error:
            raise Refusal(str(error)) from error


def _is_text(word: str) -> bool:
    """Whether a word of the command line can be written to the store: bytes that are no UTF-8 come as half pairs."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.command(cls=Verbs, epilog=EPILOG)
@click.version_option(package_name="taskbridge")
def taskbridge() -> None:
    """One task API over Celery and Dramatiq, with the same meaning on both."""


def main() -> None:
    """Run the command. A terminal that cannot show a letter gets its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    taskbridge(prog_name="taskbridge")
