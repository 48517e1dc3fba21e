"""Dramatiq behind taskbridge's protocol: its wire format, its queues, its execution hooks.

Importing this does not import Dramatiq: producers and the relay write its messages without it.
"""

from .backend import DramatiqBackend

__all__ = ["DramatiqBackend"]
