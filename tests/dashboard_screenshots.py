"""Keep what the dashboard looks like: ``python -m tests.dashboard_screenshots docs/images``.

Real workers on both engines run the tasks of ``tests/shop.py`` for some minutes, on a Redis of their own; then each
page is kept as ``dashboard-NAME.png``, some in the dark and some narrow, too. Needs a Chromium; no test does this.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from taskbridge import batch, chain, default_bridge
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.watch import Watch
from taskbridge.lease import host
from taskbridge.operations import control, limits, migration

from .chromium import some_browser
from .servers import RedisServer

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

TOKEN = "a-token-for-pictures-alone"

#: How long the workers run before anything is kept, seconds.
RUNS_S = 150

#: A picture is so high at least, and at most.
HEIGHT, HIGHEST = 420, 1_300

#: Puts one text in the place of another, by a pattern.
RENAME = """([old, put]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replace(new RegExp(old, "g"), put);
}"""

#: What a picture is not to show of the machine that it was made on, and what stands for it: who, the host, the folder.
STANDS_FOR = {
    rf"\b{re.escape(f'{getuser()}@{host()}')}\b": "ada@web-1",
    rf"\b{re.escape(host())}\b": "web-1",
    re.escape(str(Path(__file__).parent.parent)): "/srv/shop",
}

#: The pages: the picture's name and the path; those of `found` have their path put in.
PAGES = {
    "overview": "/?span=15min",
    "queues": "/queues",
    "queue": "/queue?name=payments",
    "tasks": "/tasks",
    "task": "/task?name=shop.payments.book",
    "workers": "/workers",
    "messages": "/messages?shelf=delayed&limit=12",
    "dead": "/dead?limit=12",
    "locks": "/locks",
    "lock": "/lock?key=shelf:0",
    "limits": "/limits",
    "limit": "/limit?key=mails:%22north%22",
    "runs": "/runs",
    "batches": "/batches",
    "chains": "/chains",
    "schedules": "/schedules",
    "routes": "/routes",
    "migration": "/migration",
    "paused": "/paused",
    "audit": "/audit",
}
DARK = ("overview", "migration", "message")
NARROW = ("overview", "queue", "message")

#: The widths of a window on a desk, and on a telephone.
WIDE, SMALL = 1_280, 390


class Quiet(WSGIRequestHandler):
    """Tells nobody of requests."""

    def log_message(self, format: str, *args: object) -> None: ...


def main(folder: str, seconds: str = str(RUNS_S)) -> None:
    """Write the pictures."""
    with RedisServer() as server:
        os.environ["TASKBRIDGE_BROKER_URL"] = server.url()
        os.environ["TASKBRIDGE_BACKEND"] = "celery"
        with workers():
            dead, run = stage(float(seconds))
            found = {"message": f"/message?id={dead}", "run": f"/run?id={run}"}
            with served() as url, some_browser() as browser:
                pages = PAGES | found
                looks = (("", WIDE, False, [*pages]), ("-dark", WIDE, True, DARK), ("-narrow", SMALL, False, NARROW))
                for ending, width, dark, names in looks:
                    tab = browser.new_page(
                        viewport={"width": width, "height": HEIGHT},
                        color_scheme="dark" if dark else "light",
                        reduced_motion="reduce",
                    )
                    sign_in(tab, url)
                    for name in names:
                        tab.goto(url + pages[name])
                        keep(tab, Path(folder) / f"dashboard-{name}{ending}.png", width)


@contextmanager
def workers() -> Iterator[None]:
    """Two of them, on both engines."""
    command = [sys.executable, "-m", "taskbridge", "worker", "tests.shop", "--backends", "celery,dramatiq"]
    groups = ["--group", "money=3:payments", "--group", "rest=4:mails,reports,stock"]
    begun = [subprocess.Popen([*command, *groups, "--log-level", "WARNING"]) for _ in range(2)]
    try:
        yield
    finally:
        for one in begun:
            one.terminate()
        for one in begun:
            one.wait(60)


def stage(seconds: float) -> tuple[str, str]:
    """Send what a shop has to do, and move its payments after a while; returns a dead letter and a run."""
    from . import shop

    watch = Watch(default_bridge)  # takes the numbers from now on
    run = shop.monthly.enqueue().id
    shop.render.using(delay=3_600).enqueue_many({"user_id": n} for n in range(400))
    batch([shop.render.s(n) for n in range(200)]).enqueue()
    batch([shop.render.using(delay=600).s(n) if n % 3 else shop.render.s(n) for n in range(60)]).enqueue()
    for n in range(3):
        chain(shop.render.s(n), shop.render.using(delay=1_800).si(n), shop.render.si(n)).enqueue()
    threading.Thread(target=sell, daemon=True).start()
    time.sleep(seconds * 0.2)
    migration.start(default_bridge, origin="celery", target="dramatiq", tasks=["shop.payments.*"])
    migration.share(default_bridge, 50, note="half of the payments")
    limits.set_rate(default_bridge.store, "mails", "8/s")
    control.pause(default_bridge, "task", "shop.reports.yearly", why="the figures are being looked at", anyway=True)
    until_s = time.monotonic() + seconds * 0.8
    while time.monotonic() < until_s:
        watch.look()
        time.sleep(1)
    watch.close()
    return default_bridge.store.browsing.records("dead", 1).records[0].id, run


def sell() -> None:
    """Send payments, mails and the like, until the process ends."""
    from . import shop

    for turn in count():
        accounts = [random.randrange(25) for _ in range(20 + turn % 30)]
        calls = ({"account": n, "amount": "12.50", "card_number": "4111 1111 1111 1111"} for n in accounts)
        shop.book.enqueue_many(calls)
        shop.send.enqueue_many({"user_id": n, "provider": ("north", "south")[n % 2]} for n in accounts[:20])
        if turn % 10 == 0:
            shop.settle.enqueue_many({"account": n, "day": "2026-01-31"} for n in range(3, 9))
            shop.count.enqueue_many({"shelf": n} for n in range(2))
        time.sleep(1)


@contextmanager
def served() -> Iterator[str]:
    """The dashboard, at an address of its own."""
    dashboard = Dashboard(default_bridge, token=TOKEN, title="shop")
    with make_server("127.0.0.1", 0, dashboard, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    dashboard.close()


def sign_in(tab: Tab, url: str) -> None:
    """As somebody who may act."""
    tab.goto(f"{url}/sign-in")
    tab.fill("input[name=token]", TOKEN)
    tab.fill("input[name=who]", "ada")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{url}/")


def keep(tab: Tab, path: Path, width: int) -> None:
    """All of a page that is worth a picture, in few colours, so that it is small."""
    from PIL import Image

    for old, put in STANDS_FOR.items():
        tab.evaluate(RENAME, [old, put])
    height = min(HIGHEST, tab.evaluate("document.documentElement.scrollHeight"))
    tab.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": max(HEIGHT, height)})
    with Image.open(path) as whole:
        few = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(*sys.argv[1:])
