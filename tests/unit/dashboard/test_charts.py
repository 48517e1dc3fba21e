"""Lines over time: what is known is drawn where it belongs, what is not is a gap, and names are text."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from taskbridge.dashboard.charts import Line, bar, chart, top_of
from taskbridge.dashboard.words import percent, rate, short, took

MINUTE_MS = 60_000

HOSTILE = "<b>\"'&"


def drawn(*values: float | None, at_ms: list[int] | None = None, name: str = "celery") -> str:
    """A chart of one line, a minute a value."""
    instants = at_ms or [n * MINUTE_MS for n in range(len(values))]
    return str(chart("Waiting", instants, [Line(name, "of-1", values)], shown=short, gap_ms=2 * MINUTE_MS))


def pieces(picture: str) -> list[list[str]]:
    """The points of each line that is drawn."""
    return [points.split() for points in re.findall(r'points="([^"]*)"', picture)]


def test_line_goes_through_its_values() -> None:
    """From the left edge to the right one; the top is a round number above all values."""
    (points,) = pieces(drawn(0, 10, 5))

    assert ["46.0,130.0", "299.0,8.0", "552.0,69.0"] == points


def test_what_is_not_known_is_a_gap() -> None:
    """And no zero; a value that stands alone is seen all the same."""
    found = pieces(drawn(1, 2, None, 3, None, 4, 5))

    assert [2, 2, 2] == [len(piece) for piece in found]
    assert found[1][0] == found[1][1]


def test_instants_far_apart_are_not_joined() -> None:
    """Nobody took any between them."""
    found = pieces(drawn(1, 2, 3, 4, at_ms=[0, MINUTE_MS, 60 * MINUTE_MS, 61 * MINUTE_MS]))

    assert [2, 2] == [len(piece) for piece in found]


def test_many_instants_are_few_points() -> None:
    """Each the mean of those that it stands for; nothing is lost of the span."""
    found = pieces(drawn(*[n % 2 for n in range(2_160)]))

    assert 270 == sum(map(len, found))
    assert {"69.0"} == {point.split(",")[1] for point in found[0]}


@pytest.mark.parametrize("values", [(), (None, None), (7,)])
def test_nothing_to_draw_is_said(values: tuple[float | None, ...]) -> None:
    """Where there is no line to see."""
    picture = drawn(*values)

    assert ("Nothing is known yet" in picture, []) == (True, pieces(picture))


def test_picture_says_its_newest_values_in_words() -> None:
    """For who does not see it; the legend has them too. What is not known of now is no older value."""
    known, unknown = drawn(1, None, 1_500), drawn(1, 1_500, None)

    assert 'aria-label="Waiting, now: celery 1.5k"' in known
    assert "celery <b>1.5k</b>" in known
    assert 'aria-label="Waiting, now: celery unknown"' in unknown
    assert "celery <b>–</b>" in unknown  # noqa: RUF001


def test_what_ended_long_ago_is_not_of_now() -> None:
    """The picture goes on to now, and its legend tells nothing of it."""
    line, instants = Line("celery", "of-1", (1, 1_500)), [0, MINUTE_MS]
    late = {until_ms: str(chart("Waiting", instants, [line], shown=short, gap_ms=2 * MINUTE_MS, until_ms=until_ms))
            for until_ms in (2 * MINUTE_MS, 10 * MINUTE_MS)}  # fmt: skip

    assert [True, False] == ["celery <b>1.5k</b>" in picture for picture in late.values()]
    assert ["299.0,38.5", "96.6,38.5"] == [pieces(picture)[0][-1] for picture in late.values()]


def test_names_are_text_and_the_picture_is_whole() -> None:
    """Whatever a backend is called."""
    picture = drawn(1, 2, name=HOSTILE)

    ET.fromstring(picture)
    assert (HOSTILE in picture, "&lt;b&gt;" in picture) == (False, True)


@pytest.mark.parametrize(("share", "width"), [(0, "0.0"), (0.255, "25.5"), (7, "100.0"), (-1, "0.0")])
def test_bar_is_filled_so_far(share: float, width: str) -> None:
    """And never beyond its ends."""
    assert f'class="done" width="{width}"' in bar(share, HOSTILE)
    assert HOSTILE not in bar(share, HOSTILE)


@pytest.mark.parametrize(
    ("values", "top"), [([], 1), ([0], 1), ([0.3], 0.5), ([1], 1), ([1.1], 2), ([70], 100), ([5_000], 5_000)]
)
def test_top_is_the_next_round_number(values: list[float], top: float) -> None:
    """1, 2 or 5 times a power of ten."""
    assert top == pytest.approx(top_of(values))


def test_words_of_numbers() -> None:
    """Few digits with a unit; a dash for what is not known, a word for what is nothing."""
    spans = [took(ms) for ms in (0.83, 12.4, 999, 1_540, 61_000, None, float("inf"))]

    assert ["0.83 ms", "12 ms", "999 ms", "1.5 s", "1 min 1 s", "–", "–"] == spans  # noqa: RUF001
    assert ["0", "0.25/s", "120/s", "1.2k/s", "–"] == [rate(n) for n in (0, 0.25, 120, 1_200, None)]  # noqa: RUF001
    assert ["0", "0.07", "950", "12.3k", "1M", "3G"] == [short(n) for n in (0, 0.07, 950, 12_345, 999_999, 3e9)]
    assert ["0 %", "0.4 %", "12 %", "100 %"] == [percent(share) for share in (0, 0.004, 0.123, 1)]
