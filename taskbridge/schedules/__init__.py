"""Schedules between code, store and relay: what a process declares, and what the relay fires. Imports no task."""
