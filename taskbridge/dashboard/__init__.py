"""The dashboard: what stands in the store and at the brokers, in a browser; and, with a token, what changes it.

A WSGI application of server-side pages. It reads and acts through ``operations`` alone.
"""

from __future__ import annotations

from .app import Dashboard

__all__ = ["Dashboard"]
