"""``python -m taskbridge`` is the ``taskbridge`` command."""

from .cli import main

if __name__ == "__main__":
    main()
