"""``make soak``: the tests that run for many minutes, part by part, the short ones first.

A part is a test function, or a class of them, with all its cases. Each has a pytest of its own, so one that fails, or
is ended at its deadline, does not end the others. What became of it is kept in ``build/soak.json`` as soon as it is
over, and ``--resume`` leaves out what has passed: after Ctrl-C, or when a fault is mended, it goes on from there. The
figures of its cases are in ``build/soak/*.xml``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent

#: What became of each part the last time.
KEPT = ROOT / "build" / "soak.json"

#: How long a part takes about where it has not run yet, seconds. Source: runs on two cores that others used, too.
ABOUT_S: Mapping[str, float] = {
    "tests/conformance/test_backends.py::TestCeleryOnRabbitMQItsOwnCommand": 30,
    "tests/conformance/test_backends.py::TestCeleryOnSqsItsOwnCommand": 130,
    "tests/conformance/test_backends.py::TestDramatiqOnRabbitMQItsOwnCommand": 30,
    "tests/conformance/test_backends.py::TestDramatiqOnSqsItsOwnCommand": 70,
    "tests/conformance/test_recovery.py::test_what_a_killed_worker_held_runs_again_in_time": 50,
    "tests/conformance/test_sentry.py::test_a_failing_task_is_one_report_in_the_trace_of_its_producer": 10,
    "tests/conformance/test_stores.py::TestLeastPrivilege": 160,
    "tests/conformance/test_stores.py::TestSentinelInFull": 40,
    "tests/faults/test_chains.py::test_a_chain_of_ten_thousand": 140,
    "tests/faults/test_chunks.py::test_no_kill_forks_or_ends_a_long_run": 2_200,
    "tests/faults/test_delays.py::test_delays_are_kept": 110,
    "tests/faults/test_drain.py::test_each_native_message_runs_once_and_on_time": 160,
    "tests/faults/test_flood.py::test_mailing_to_2_000_000_users_never_floods": 900,
    "tests/faults/test_flood.py::test_mailing_to_many_users_never_floods": 200,
    "tests/faults/test_kills.py::test_no_kill_loses_or_doubles_a_message": 70,
    "tests/faults/test_limits.py::test_limit_is_strict_and_used_for_long": 160,
    "tests/faults/test_locks.py::test_lock_has_one_holder_for_a_minute": 150,
    "tests/faults/test_memory.py::test_a_leak_is_held_under_the_cap": 120,
    "tests/faults/test_migration.py::test_share_steps_there_and_back_for_long": 800,
    "tests/faults/test_patience.py::test_a_redis_that_hangs_has_nothing_begun_again": 70,
    "tests/faults/test_rabbitmq_long.py::test_a_task_longer_than_the_heartbeat_keeps_its_connection": 200,
    "tests/faults/test_schedules.py::test_each_tick_is_fired_once_whoever_leads": 225,
    "tests/faults/test_sqs.py::test_a_real_minute_of_delay": 150,
    "tests/faults/test_store_away.py::test_connections_cut_at_random_lose_nothing": 50,
    "tests/unit/examples/test_run.py::test_the_demo_ends_well": 65,
    "tests/unit/observe/metrics/test_seats.py::test_children_replaced_ten_thousand_times_leave_nothing_behind": 110,
    "tests/unit/store/test_protocol_mutants.py::test_mutant_in_lua_is_caught": 20,
    "tests/unit/store/test_run_mutants.py::test_mutant_in_lua_is_caught": 20,
}

#: What pytest ends with when it was interrupted, not when a test failed.
INTERRUPTED = 2

PYTEST = (sys.executable, "-m", "pytest", "-m", "soak")

#: Each test is shown when it ends, and the log as it comes: what is long says there how far it is.
SHOWING = (
    *("-v", "--no-header", "-o", "log_cli=true", "-o", "log_cli_level=INFO"),
    *("-o", "log_cli_format=%(asctime)s %(message)s", "-o", "log_cli_date_format=%H:%M:%S"),
)


@dataclass(frozen=True)
class Ended:
    """What became of a part: pytest's code, and after how many seconds."""

    code: int
    seconds: float


@click.command()
@click.option("--only", default="", help="Words: run the parts whose name has one of them.")
@click.option("--resume", is_flag=True, help="Leave out the parts that passed the last time.")
@click.option("--list", "only_list", is_flag=True, help="Tell what would run, and for how long, and end.")
def main(only: str, resume: bool, only_list: bool) -> None:
    """Run the soak, the short parts first; the code is 1 when one of them fails."""
    kept = {part: Ended(**one) for part, one in (json.loads(KEPT.read_text()) if KEPT.exists() else {}).items()}
    about_s = {**ABOUT_S, **{part: one.seconds for part, one in kept.items() if one.code == 0}}
    words = only.split()
    cases = {part: n for part, n in found().items() if not words or any(word in part for word in words)}
    if not cases:
        raise click.ClickException(f"no part's name has one of these words: {only}")
    passed = [part for part in cases if resume and part in kept and kept[part].code == 0]
    parts = sorted(cases.keys() - set(passed), key=lambda part: (about_s.get(part, 0), part))

    for part in parts:
        click.echo(f"{_time(about_s.get(part)):>7}  {cases[part]:4} cases  {part}")
    for part in passed:
        click.echo(f" passed  {cases[part]:4} cases  {part}")
    unknown = len(parts) - len(about_s.keys() & set(parts))
    total_s = sum(about_s.get(part, 0) for part in parts)
    click.echo(f"{_time(total_s):>7}  about, {len(parts)} parts" + (f", {unknown} not counted" if unknown else ""))
    if not only_list:
        sys.exit(run_all(parts, kept))


def found() -> Counter[str]:
    """Count the cases of each part."""
    modules = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.soak" in path.read_text()]
    command = [*PYTEST, "--collect-only", "-q", *modules]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        raise click.ClickException(told.stdout + told.stderr)
    names = (line.partition("[")[0] for line in told.stdout.splitlines() if "::" in line)
    return Counter("::".join(name.split("::")[:2]) for name in names)


def run_all(parts: Sequence[str], kept: dict[str, Ended]) -> int:
    """Run them one after another and keep what became of each; returns 0 when all have passed."""
    signal.signal(signal.SIGINT, lambda *_: None)  # pytest hears it, too, stops its servers, and tells by its code
    failed = []
    for n, part in enumerate(parts, 1):
        click.echo(f"==> {n} of {len(parts)}: {part}")
        began_s = time.monotonic()
        results = KEPT.parent / "soak" / f"{part.rpartition('/')[2].replace('::', '-')}.xml"
        command = [*PYTEST, *SHOWING, "--junitxml", str(results), part]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code == INTERRUPTED:
            click.echo("interrupted; RESUME=1 goes on with this part")
            return INTERRUPTED
        kept[part] = Ended(code, round(time.monotonic() - began_s, 1))
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps({part: asdict(one) for part, one in sorted(kept.items())}, indent=1))
        failed += [part] if code else []
    for part in parts:
        click.echo(f"{'FAILED' if part in failed else 'passed':>7}  {_time(kept[part].seconds):>7}  {part}")
    return 1 if failed else 0


def _time(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
