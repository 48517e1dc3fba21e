"""The ``taskbridge`` command: one file per verb, each parses, calls one function, prints, and sets the exit code."""

from __future__ import annotations

import sys

import click

from ..errors import TaskbridgeError

EPILOG = "Settings: TASKBRIDGE_BACKEND, TASKBRIDGE_BROKER_URL and others; see docs/settings.md."


class Verbs(click.Group):
    """The verbs, imported when used."""

    names = ("check", "dead", "purge", "queues", "relay", "send", "status", "tasks", "worker")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        from importlib import import_module

        if name not in self.names:
            return None
        command: click.Command = getattr(import_module(f".{name}", __package__), name)
        return command


@click.command(cls=Verbs, epilog=EPILOG)
@click.version_option(package_name="taskbridge")
def taskbridge() -> None:
    """One task API over Celery and Dramatiq, with the same meaning on both."""


def main() -> None:
    """Run the command; an error of ours is one clear message and exit code 1."""
    try:
        taskbridge(prog_name="taskbridge")
    except TaskbridgeError as error:
        click.echo(f"taskbridge: {error}", err=True)
        sys.exit(1)
