"""The page: whole by itself, and as it should be in every browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from taskbridge.comparison.measures import MEASURES, POINTS, Run
from taskbridge.comparison.page import page_of
from taskbridge.comparison.report import Report
from taskbridge.comparison.sides import Side

#: Elements without an end. Source: HTML Living Standard, "Void elements".
VOID = {"meta", "br", "img", "link", "input", "hr"}

EVIL = '<script>alert("&")</script>'


def a_report(*names: str, rounds: int = 3, lost: int = 0, told: bool = True) -> Report:
    sides = [Side(name=name, engine="celery", broker="redis", broker_url="", store_url="") for name in names]
    runs = [
        Run(
            side=side.name,
            round=round,
            load=0.5,
            calls=1,
            values=_values(place, round, lost, told),
            curves=_curves(place),
        )
        for round in range(1, rounds + 1)
        for place, side in enumerate(sides)
    ]
    return Report(
        workload=f"app.load:workload {EVIL}",
        sides=sides,
        runs=runs,
        processes=2,
        machine={"processor": "2 cores", "system": EVIL},
        began="2026-01-01 12:00 UTC",
        command="taskbridge compare app.load:workload --backends celery+redis,dramatiq+redis",
    )


def _values(place: int, round: int, lost: int, told: bool) -> dict[str, float | None]:
    values: dict[str, float | None] = {one.key: 1_000.0 * (place + 1) + round for one in MEASURES}
    missing = {} if told else dict.fromkeys(("cpu_s", "peak_mb", "grown_mb"))
    return values | {"tasks": 5_000, "lost": lost, "twice": 0} | missing


def _curves(place: int) -> dict[str, list[float]]:
    return {name: [(place + 1) * 1.04**n for n in range(POINTS)] for name in ("queue", "run", "end", "ends")}


class Page(HTMLParser):
    """Reads a page strictly: every element is ended where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.outside: list[str] = []
        self.inside: list[str] = []
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self._open.append(tag)
        self._look(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._look(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop(), f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def _look(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "xlink:href", "srcset", "action"):
                (self.inside if (value or "").startswith("#") else self.outside).append(value or "")
            self.inside += re.findall(r"url\(([^)]*)\)", value or "")


@pytest.fixture(scope="module")
def text() -> str:
    return page_of(a_report("celery+redis", "dramatiq+redis"))


def test_it_needs_nothing_from_outside(text: str):
    """No script, no picture, no font, no style: what it refers to is in it, once."""
    page = Page(text)

    assert [] == page.outside
    assert not {"script", "link", "img", "iframe"} & page.tags.keys()
    assert len(page.ids) == len(set(page.ids))
    assert {reference.removeprefix("#") for reference in page.inside} <= set(page.ids)
    assert len(page.inside) > 0
    assert not re.search(r"@import|url\((?!#)", text)


def test_it_tells_everything(text: str):
    """What was compared, how, where, by which command; a row for each measure and one for each run."""
    words = " ".join(Page(text).words)

    for said in ("celery+redis", "dramatiq+redis", "3 rounds on each", "2 worker processes", "2026-01-01 12:00 UTC"):
        assert said in words
    assert "taskbridge compare app.load:workload --backends celery+redis,dramatiq+redis" in words
    assert len(MEASURES) + 6 + 2 == Page(text).tags["tr"]
    assert all(measure.name in words for measure in MEASURES)
    assert "Nothing lost, nothing done twice: all of 30,000 tasks ended once." in words


def test_what_others_have_named_is_text(text: str):
    """A workload cannot bring a script along."""
    page = Page(text)

    assert 0 == page.tags["script"]
    assert EVIL in "".join(page.words)


def test_each_plot_is_sound_and_in_the_colours_of_the_page(text: str):
    """Whole XML, texts as texts, and no colour of its own that would be wrong in the dark."""
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)

    assert 6 == len(plots)
    for plot in plots:
        root = ET.fromstring(plot)
        assert root.attrib["aria-label"]
        assert "width" not in root.attrib
        assert any(element.tag.endswith("text") for element in root.iter())
        assert not re.search(r"(fill|stroke): (#|black|white)", plot), plot[:2_000]
        assert "var(--side-0)" in plot
        assert "var(--side-1)" in plot
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) - {"--colour"}
    style = text.partition("</style>")[0]
    assert all(2 == style.count(f"{name}: #") for name in used)


@pytest.mark.parametrize("sides", [1, 2, 7])
def test_any_number_of_sides_has_a_page(sides: int):
    """More than there are colours, too."""
    Page(page_of(a_report(*(f"side {number}" for number in range(sides)), rounds=1)))


def test_faults_are_in_front():
    """And nothing says that all is well."""
    words = " ".join(Page(page_of(a_report("celery+redis", "dramatiq+redis", lost=2))).words)

    assert "celery+redis: 6 lost" in words
    assert "Nothing lost" not in words


def test_what_the_machine_does_not_tell_is_left_out():
    """No plot of nothing; the table has a dash."""
    text = page_of(a_report("a", "b", told=False))

    assert 5 == len(re.findall(r"<svg", text))
    assert "None" not in " ".join(Page(text).words)


def test_a_browser_shows_it_on_a_phone(text: str, tmp_path: Path):
    """As Chromium understands it: nothing of it is wider than 360 pixels, so that nobody scrolls sideways."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed: the page was parsed, and not looked at")
    (tmp_path / "phone.html").write_text(
        f'<iframe srcdoc="{escape(text)}" style="width: 360px; height: 800px; border: 0"></iframe><p id="said"></p>'
        "<script>onload = () => { const page = document.querySelector('iframe').contentDocument;"
        "document.querySelector('#said').textContent = [page.documentElement.scrollWidth <= 360,"
        "page.querySelectorAll('svg path').length > 20, page.compatMode].join(' ') }</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    asked = [chromium, *flags, f"file://{tmp_path}/phone.html"]

    shown = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=100).stdout

    assert ["true true CSS1Compat"] == re.findall(r'<p id="said">(.*?)</p>', shown)
