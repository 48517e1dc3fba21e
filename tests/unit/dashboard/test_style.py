"""The style: text can be read on every ground it stands on, in both colours."""

from __future__ import annotations

import re

import pytest

from taskbridge.dashboard.app import STATIC

STYLE = (STATIC / "dashboard.css").read_text("utf-8")

#: The three places where colours are named: light; dark by the system; dark by choice.
PALETTES = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root[^{]*\{(.*?)\}", STYLE, re.DOTALL)
]

#: Text, and what it stands on.
PAIRS = [
    (text, ground)
    for text in ("strong", "text", "faint", "accent", "good", "warn", "bad")
    for ground in ("ground", "card", "hover")
] + [("good", "good-ground"), ("warn", "warn-ground"), ("bad", "bad-ground"), ("on-accent", "accent")]


def brightness(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark by the system", "dark by choice"])
def test_text_can_be_read(palette: dict[str, str]):
    """Every text on every ground has a contrast of 4.5 to 1: WCAG AA."""
    found = {}
    for text, ground in PAIRS:
        dark, light = sorted((brightness(palette[text]), brightness(palette[ground])))
        found[text, ground] = (light + 0.05) / (dark + 0.05)

    assert {} == {pair: ratio for pair, ratio in found.items() if ratio < 4.5}


def test_both_ways_to_the_dark_look_the_same():
    """And each colour that the light names, the dark names."""
    light, system, chosen = PALETTES

    assert system == chosen
    assert set(light) == set(chosen)
