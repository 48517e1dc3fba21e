"""Drain: what is left in one backend's queues moves to another, our own messages and the engine's.

``verdict.py`` says what can move, ``loop.py`` moves it, ``report.py`` is what was done. Where the messages lie is
said by ``taskbridge/leftovers.py``; how one is taken over, once, by ``adopt`` of the store.
"""
