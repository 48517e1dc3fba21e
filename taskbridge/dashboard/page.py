"""A page: where it is, what it reads, how that is shown. ``pages`` has one file for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..bridge import Bridge
from .fields import Fields
from .watch import Watch

Row = TypeVar("Row")

#: How many rows a page shows unless it is asked for more, and at most.
ROWS, MOST_ROWS = 50, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a page. ``may_act`` says that whoever looks may change things, ``who`` what they are called.

    ``watch`` has what all pages of the process look at together.
    """

    bridge: Bridge
    query: Fields
    watch: Watch
    may_act: bool = False
    who: str = ""

    @property
    def offset(self) -> int:
        """How many rows are left out before the first one that is shown."""
        return self.query.number("offset", 0)

    @property
    def limit(self) -> int:
        """How many rows are shown."""
        return self.query.number("limit", ROWS, least=1, most=MOST_ROWS)

    def part(self, rows: Sequence[Row], *, total: int | None = None) -> Part[Row]:
        """Return the rows to show, of those that were read from ``offset`` on; read ``limit + 1`` to know of more."""
        shown = list(rows[: self.limit])
        more = len(rows) > self.limit or (total is not None and total > self.offset + len(shown))
        return Part(rows=shown, offset=self.offset, limit=self.limit, more=more and bool(shown), total=total)

    def part_of(self, rows: Sequence[Row]) -> Part[Row]:
        """Return the rows to show, of all that there are."""
        return self.part(rows[self.offset : self.offset + self.limit + 1], total=len(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[Row]):
    """Some rows of a list; ``more`` says that others follow. A list that ends before ``offset`` is ``past_end``."""

    rows: list[Row]
    offset: int
    limit: int
    more: bool
    total: int | None = None

    @property
    def past_end(self) -> bool:
        return self.offset > 0 and not self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Args:
        name: what links call it.
        path: where it is, below the dashboard's own; names of users' things go into the query, not here.
        title: of the page, and in the menu.
        template: in ``templates/``; extends ``layout``.
        read: what the template is given, by name.
        menu: whether the menu names it. Defaults to yes.
        within: the name of the page of the menu that this one belongs to.
        of: the field of the query that says which one it shows; its title says so too. Defaults to none.
        every_s: how often what is live is asked for anew. Defaults to what the dashboard says.
    """

    name: str
    path: str
    title: str
    template: str
    read: Callable[[Look], Mapping[str, Any]]
    menu: bool = True
    within: str = ""
    of: str = ""
    every_s: float = field(default=0.0)
