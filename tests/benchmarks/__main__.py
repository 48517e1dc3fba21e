"""``python -m tests.benchmarks``: run the rows, print the table, write the JSON."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import chaining, chunking, enqueueing, importing, latency, observing, policies, rabbitmq, report, sqs, working
from .runner import Case, run

#: The rows of each broker.
FAMILIES = {
    "redis": (enqueueing, working, policies, observing, chaining, chunking, latency, importing),
    "rabbitmq": (rabbitmq,),
    "sqs": (sqs,),
}

#: Narrower than this and the table is folded past reading; a file or a pipe has no width of its own.
WIDTH = 160


@click.command()
@click.option("--broker", type=click.Choice(sorted(FAMILIES)), default="redis", show_default=True)
@click.option("--rows", multiple=True, help="Only rows whose name contains this; may be given several times.")
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True, help="Medians are taken over these.")
@click.option(
    "--output", default="build/bench.json", type=click.Path(dir_okay=False, path_type=Path), show_default=True
)
@click.option("--list", "only_list", is_flag=True, help="Name the rows and end.")
def main(broker: str, rows: tuple[str, ...], rounds: int, output: Path, only_list: bool) -> None:
    """Measure native engines and taskbridge in turn, on a broker of the benchmark's own."""
    cases = [case for family in FAMILIES[broker] for case in family.cases() if _wanted(case, rows)]
    if only_list:
        click.echo("\n".join(row.name for case in cases for row in case.rows))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        measured = run(cases, rounds, progress)
    console.print(report.table(measured))
    report.write(measured, output)
    console.print(f"written to {output}")


def _wanted(case: Case, parts: tuple[str, ...]) -> bool:
    return not parts or any(part in row.name for part in parts for row in case.rows)


if __name__ == "__main__":
    main()
