"""Templates into text: whatever a message says is shown as text, and a name that a template misspells is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..operations.words import instant, span
from ..shown.text import safe, without_passwords
from .charts import bar
from .words import percent, rate, short, took

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return what renders the pages. HTML is escaped, and so is what steers a terminal or turns the writing round."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"number": number, "instant": instant, "span": span, "anchor": anchor}
    made.filters |= {"took": took, "rate": rate, "short": short, "percent": percent, "bar": bar}
    return made


def render(templates: Environment, name: str, context: Mapping[str, Any]) -> str:
    """Return a template filled in."""
    return templates.get_template(name).render(context)


def number(value: float) -> str:
    """``1,234,567``; what is no whole number has three digits that count."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def anchor(value: object) -> str:
    """Return text as part of an element's ``id``: the same for the same text, and without what has no place there."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f".{ord(c):x}." for c in str(value))


def _finalized(value: Any) -> Any:
    """What is shown; what a form sends back as it is goes through ``e``, which leaves it alone but for HTML."""
    return (
        value if isinstance(value, Markup) or not isinstance(value, str) else safe(without_passwords(value), lines=True)
    )
