"""The cases of BackendSuite about routes: what they go by is not lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..message import decode

if TYPE_CHECKING:
    from .backend_suite import Arena


class RouteCases:
    """Every backend brings to a worker what the relay routes by when a message comes back."""

    def test_what_routes_go_by_comes_back(self, arena: Arena) -> None:
        """Tags and keys of a message that was published and is in the store again, as it waits for a newer worker."""
        keys = {"{user_id}": "7", "{country}/{user_id}": '"é"/7'}

        id = arena.publish("suite.of_tomorrow", kwargs={"user_id": 7}, tags=("payments", "eu:west"), route_keys=keys)

        parked = decode(arena.ended(id, "PARKED").body)
        assert (("payments", "eu:west"), keys) == (parked.tags, parked.route_keys)
