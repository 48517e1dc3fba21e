"""How large messages may be, and which brokers take none so large. Pure; bytes."""

from __future__ import annotations

from ..backend import Capabilities
from ..errors import NotSupported


def refuse_payload(max_payload: int, kept: Capabilities, where: str) -> None:
    """Refuse a ``max_payload`` above what is taken here: a message in between would be refused when it is sent.

    Raises:
        NotSupported: it is.
    """
    if 0 < kept.max_payload < max_payload:
        raise NotSupported(
            f"{where} takes messages of up to {kept.max_payload} bytes, and max_payload is {max_payload}: lower it, "
            "save the data and pass its id"
        )
