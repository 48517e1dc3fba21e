"""A bank's import of transactions, the same on every engine; ``python -m examples.fintech.demo`` shows it."""
