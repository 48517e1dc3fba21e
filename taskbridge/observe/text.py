"""Text as it may be shown, for listeners and commands: see ``taskbridge.shown``."""

from ..shown.text import safe, without_passwords

__all__ = ["safe", "without_passwords"]
