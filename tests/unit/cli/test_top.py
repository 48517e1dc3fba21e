"""``taskbridge top``, in a real terminal of 80 by 24 and without one."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.cli.frame import Look
from taskbridge.cli.top import View
from taskbridge.needs import NeedsLock, NeedsTokens
from taskbridge.operations.overview import Overview
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import begin, run
from tests.servers import RedisServer, until

from .conftest import Cli
from .ptys import Pty, quiet

pytestmark = pytest.mark.service("redis")

TOP = (sys.executable, "-m", "taskbridge", "top", "--interval", "0.2")
EVIL = "mail.\x1b[31msend\x07\u202e"

#: A program that shows one frame, and then does what it is told.
SHOWS = """
from taskbridge.clock import SystemClock
from taskbridge.cli.terminal import Line, Terminal
n = 0
with Terminal(SystemClock()) as terminal:
    terminal.draw([Line("shown")])
    while not terminal.marks.ended:
        if terminal.key(1) or n:
            {does}
"""


def fill(bridge: Bridge) -> None:
    """Have something for each section to show."""
    store, now_ms = bridge.store, bridge.store.now_ms()
    known = {"bank.pay": Known(queue="ledger")}
    serving = {"backends": ["celery"], "queues": ["emails", "ledger"], "processes": 4}
    announce(store, Announcement(name="host.1.ab", tasks={"bank.pay": []}, known=known, **serving))  # type: ignore[arg-type]
    old_ms = now_ms - (75 * 60_000 + 15_000)
    bridge.backend("celery").publish([a_message(queue="emails", enqueued_at_ms=old_ms) for _ in range(120)])
    for n in range(3):
        begin(
            store, a_message(queue="ledger", task="bank.pay"), f"host.1.ab.{n}.1:celery:{n}", locks=(NeedsLock("a:7"),)
        )
        begin(
            store,
            a_message(queue="emails", task=EVIL),
            f"own{n}",
            rates=(NeedsTokens("slow", "slow", 3_600_000_000, 1),),
        )
    run(store, a_message(queue="emails"), "d", "DEAD", why="no")
    store.leader.hold("relay", "host.1.ab", 60_000)


@pytest.fixture
def filled(bridge: Bridge) -> Bridge:
    fill(bridge)
    return bridge


@pytest.fixture
def terminal(filled: Bridge) -> Iterator[Pty]:
    """The command in a terminal, when it shows what there is."""
    with Pty(*TOP) as made:
        made.sees(lambda text: "q quit" in text, "a frame")
        yield made


def test_all_that_matters_is_seen_at_80_by_24(terminal: Pty):
    """Queues, what runs, what waits, workers, the relay; what would steer the terminal is shown as text."""
    text = terminal.text

    for expected in ("relay host.1.ab", "QUEUE", "RUNS FOR", "WAITS AT", "WORKER", "bank.pay", "a:7", "1h 15m"):
        assert expected in text
    assert re.search(r"^emails +celery +120 ", text, re.MULTILINE)
    assert r"mail.\x1b[31msend\x07" in text
    assert "q quit" in text.splitlines()[23]
    assert b"\x1b[31m" not in terminal.sent
    assert "\u202e".encode() not in terminal.sent


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_however_it_ends_the_terminal_is_whole(terminal: Pty, key: str):
    """Its cursor, its main screen, and its echo are back."""
    assert not terminal.is_whole

    terminal.type(key)

    assert 0 == terminal.ends()
    assert terminal.is_whole


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_the_terminal_whole(number: int):
    """Also where the link is stuck: nobody waits for it."""
    with Pty(sys.executable, "-c", SHOWS.format(does="terminal.draw([Line(str(n) * 5_000)]); n += 1")) as one:
        one.sees(lambda text: "shown" in text, "a frame")
        one.type("x")
        time.sleep(0.1)

        one.process.send_signal(number)

        assert 0 == one.ends()
        assert one.is_whole


def test_an_error_leaves_the_terminal_whole():
    """It is shown there, on the main screen."""
    with Pty(sys.executable, "-c", SHOWS.format(does="raise ValueError('ours')")) as one:
        one.sees(lambda text: "shown" in text, "a frame")

        one.type("x")

        assert 1 == one.ends()
        assert one.is_whole
        assert b"ValueError: ours" in one.sent.rpartition(b"\x1b[?1049l")[2]


def test_it_rests_as_a_job_of_the_shell(filled: Bridge):
    """Ctrl-Z leaves the terminal as it was, fg draws all of it again, and Ctrl-C ends it."""
    with Pty("bash", "--norc", "--noprofile", "-i", PS1="prompt> ", HISTFILE="") as shell:
        shell.sees(lambda text: "prompt>" in text, "a prompt")
        shell.type(" ".join(TOP) + "\n")
        shell.sees(lambda text: "q quit" in text, "a frame")

        shell.type("\x1a")
        until(lambda: shell.read(within_s=0.05) * 0 or b"Stopped" in shell.sent, 20, "it rests")
        assert shell.sent.rpartition(b"\x1b[?1049")[2].startswith(b"l")
        shell.type("fg\n")
        until(lambda: shell.read(within_s=0.05) * 0 or shell.sent.count(b"\x1b[?1049h") == 2, 20, "it goes on")
        shell.sees(lambda text: "q quit" in text, "a frame")
        shell.type("\x03")
        until(lambda: shell.read(within_s=0.05) * 0 or shell.sent.count(b"\x1b[?1049l") == 2, 20, "it ends")
        shell.type("echo $?-$((1+1))\n")
        until(lambda: shell.read(within_s=0.05) * 0 or b"0-2" in shell.sent, 20, "the shell works")


def test_a_store_that_goes_away_is_told_and_comes_back(cli: Cli):
    """What was seen last stays, marked as old; when it answers again, so is all."""
    with RedisServer() as server:
        cli.set(BROKER_URL=server.url())
        bridge = Bridge()
        fill(bridge)
        with Pty(*TOP) as one:
            one.sees(lambda text: "q quit" in text, "a frame")

            server.stop(signal.SIGKILL)
            text = one.sees(lambda text: "store OLD by" in text.splitlines()[23], "it is told")
            assert re.search(r"^emails +celery +120 ", text, re.MULTILINE)
            server.start()
            bridge.close()
            fill(bridge := Bridge())

            one.sees(lambda text: "OLD" not in text and "q quit" in text, "it goes on by itself")
        bridge.close()


def test_only_what_has_changed_is_sent(terminal: Pty):
    """A refresh is a few bytes: the time, how long things run."""
    frame = len(terminal.sent)
    quiet(terminal, 0.6)
    began_s = time.monotonic()

    came = [quiet(terminal, 2.0)]
    until(lambda: sum(came) or came.append(quiet(terminal, 0.2)), 20, "a refresh")

    refreshes = (time.monotonic() - began_s) / 0.2
    assert sum(came) < refreshes * 350
    assert 1_000 < frame


def test_over_a_slow_link_frames_are_left_out_and_never_queued(terminal: Pty, filled: Bridge):
    """When it is fast again, little has been waiting, what is shown is of now at once, and each line of it is whole."""
    for n in range(60):
        terminal.read(10)
        time.sleep(0.05)
        begin(filled.store, a_message(queue="ledger", task=f"bank.late{n}"), f"late{n}")
    backlog = quiet(terminal, 0.1)

    text = terminal.sees(lambda text: "running 62 " in text, "a frame of now")

    assert backlog < 8_192
    assert all(len(line) <= 80 for line in text.splitlines())
    terminal.type("p")
    terminal.sees(lambda text: "PAUSED" in text, "a pause")
    quiet(terminal, 0.5)
    piecewise = terminal.text
    sent = len(terminal.sent)
    terminal.process.send_signal(signal.SIGWINCH)

    def whole() -> bool:
        terminal.read(within_s=0.05)
        return len(terminal.sent) > sent + 1_000 and piecewise == terminal.text

    until(whole, 20, "the same, drawn anew")


class Link:
    """A terminal that takes nothing while it is ``busy``."""

    busy, shows, size = True, False, (80, 24)

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def draw(self, frame: Any) -> None:
        self.frames.append(frame)


class Sight:
    """Everything, at once, but while it is ``covered``."""

    looks = 0

    def __init__(self) -> None:
        self.uncovered = Event()
        self.uncovered.set()

    def look(self) -> Overview:
        self.looks += 1
        self.uncovered.wait(60)
        return Overview(now_ms=self.looks)


def test_no_frame_is_drawn_while_another_is_on_its_way():
    """What was seen meanwhile is shown as it is then, once."""
    link, sight, tells = Link(), Sight(), os.pipe()[1]
    with ThreadPoolExecutor(1) as looker:
        view = View(link, sight, Look(interval_s=0.0), looker, tells)  # type: ignore[arg-type]
        until(lambda: view.show(1.0) or sight.looks > 3, 20, "it looks on")
        assert [] == link.frames

        link.busy = False
        view.show(1.0)

    assert 1 == len(link.frames)


def test_a_look_that_ends_while_it_is_paused_is_not_shown():
    """What stands still is read, though a store that was asked before answers late; then it goes on."""
    link, sight, tells = Link(), Sight(), os.pipe()[1]
    link.busy, link.shows = False, True
    with ThreadPoolExecutor(1) as looker:
        view = View(link, sight, Look(interval_s=0.0), looker, tells)  # type: ignore[arg-type]
        until(lambda: view.show(1.0) or view._seen, 20, "the first look")
        sight.uncovered.clear()
        until(lambda: view.show(2.0) or sight.looks > 1, 20, "another look")
        view.obey("p")
        view.show(3.0)
        paused, asked = len(link.frames), view._asked

        sight.uncovered.set()
        until(lambda: asked is None or asked.done(), 20, "its end")
        view.show(4.0)

        assert paused == len(link.frames)
        view.obey("p")
        until(lambda: view.show(5.0) or len(link.frames) > paused + 1, 20, "it to go on")


def test_keys_and_sizes(terminal: Pty):
    """Another size is another frame, its status in its last line; what is paused stands still until it goes on."""
    for columns, lines in ((120, 40), (60, 12), (80, 24)):
        terminal.resize(columns, lines)
        terminal.sees(lambda text, n=lines: "q quit" in text.splitlines()[n - 1], "the status in the last line")

    terminal.type("s")
    terminal.sees(lambda text: "sort by oldest" in text, "another order")
    terminal.type("p")
    terminal.sees(lambda text: "PAUSED" in text, "a pause")
    quiet(terminal, 0.5)

    still = terminal.text
    assert 0 == quiet(terminal, 1.0)
    assert still == terminal.text
    terminal.type("p")

    terminal.sees(lambda text: "PAUSED" not in text, "it goes on")


def test_once_takes_no_terminal(cli: Cli, filled: Bridge):
    """A frame for a log, without escapes; as JSON it has it all, and a live one is refused with what to do."""
    shown, refused = cli("top", "--once"), cli("top")
    told = cli.json("top", "--queues", "emails")

    assert (0, 2) == (shown.exit_code, refused.exit_code)
    assert "emails" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert r"mail.\x1b[31msend" in shown.stdout
    assert "--once" in refused.output
    assert ("gathering", 2, 1) == (told["throughput"]["state"], told["running_in_all"], told["locks"][0]["waiting"] - 1)
    assert {"emails", "ledger"} <= {queue["name"] for queue in told["queues"]}


def test_once_tells_a_store_that_is_away(cli: Cli, nowhere: str):
    """In its last line, with exit code 1, and no password."""
    cli.set(BROKER_URL=nowhere)

    result = cli("top", "--once")

    assert 1 == result.exit_code
    assert "store never seen" in result.stdout.splitlines()[-1]
    assert "hush" not in result.output


#: Gives up what root may do, as who is not root has done already.
AS_ANOTHER = "import os\nif os.getuid() == 0:\n    os.setgroups([])\n    os.setgid(65_534)\n    os.setuid(65_534)\n"


def test_terminal_of_another_user_is_written_to(tmp_path: Path):
    """As `sudo -u` leaves one: it may be used and not opened. It waits for the link again when the view is over."""
    script = tmp_path / "shows.py"
    script.write_text(f"import taskbridge.cli.terminal\n{AS_ANOTHER}{SHOWS.format(does='break')}")
    script.chmod(0o644)
    tmp_path.chmod(0o755)
    with Pty(sys.executable, str(script)) as terminal:
        os.chmod(os.ttyname(terminal.slave), 0)
        terminal.sees(lambda text: "shown" in text, "the frame")
        terminal.type("q")

        assert 0 == terminal.ends()
        assert terminal.is_whole
        assert os.get_blocking(terminal.slave)
