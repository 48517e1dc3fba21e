"""What all requests to one dashboard share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment

from ..bridge import Bridge
from ..operations.disclosure import Disclosure
from .action import Action
from .assets import Assets
from .page import Page
from .patience import Patience
from .sessions import Sessions
from .watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One dashboard: what it is of, what it has, and whom it lets do what. ``cookie`` ends the names of its cookies."""

    bridge: Bridge
    watch: Watch
    title: str
    pages: Mapping[str, Page]
    actions: Mapping[str, Action]
    sessions: Sessions
    patience: Patience
    assets: Assets
    disclosure: Disclosure
    templates: Environment
    allowed_hosts: tuple[str, ...]
    anonymous_reading: bool
    refresh_s: float
    cookie: str
