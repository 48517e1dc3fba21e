"""Celery behind taskbridge's protocol: its wire format, its queues, its execution hooks.

Importing this does not import Celery: producers and the relay write its messages without it.
"""

from .backend import CeleryBackend

__all__ = ["CeleryBackend"]
