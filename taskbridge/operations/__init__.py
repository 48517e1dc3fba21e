"""What an operator asks of a running system: is it well, what waits where, where is my message, end this queue.

Each takes a ``Bridge`` and returns plain values; the command line and the dashboard only show them.
"""
