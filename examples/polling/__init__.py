"""Payments at a provider that answers later, polled by nobody who waits; ``python -m examples.polling`` runs it."""
