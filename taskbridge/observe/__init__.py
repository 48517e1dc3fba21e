"""Listeners of events: one vendor or one form each."""
