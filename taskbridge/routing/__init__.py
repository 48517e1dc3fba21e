"""Decide which backend carries a message: by the rules of the route table, first match wins, else by the settings.

The table is in the store and changes at run time (``taskbridge.routes`` changes it); ``Router`` reads it once a second.
"""

from __future__ import annotations

from .router import Router
from .rules import Rule
from .shares import fill, names_in, place_of, route_by_settings
from .table import Table

__all__ = ["Router", "Rule", "Table", "fill", "names_in", "place_of", "route_by_settings"]
