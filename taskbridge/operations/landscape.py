"""What routes and migrations are checked against, as it is now."""

from __future__ import annotations

from ..announcement import announced
from ..bridge import Bridge
from ..routes.checks import Landscape


def landscape_of(bridge: Bridge, *, modules: bool) -> Landscape:
    """Return the settings, the live workers, and with ``modules`` the tasks declared here.

    Raises:
        StoreUnavailable: who lives is not known.
    """
    return Landscape(
        settings=bridge.settings,
        backend=bridge.backend,
        workers=announced(bridge.store),
        definitions=bridge.definitions if modules else {},
    )
