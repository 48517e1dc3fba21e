"""Benchmarks: each native engine and taskbridge in turn. ``docs/benchmarks.md`` says what each row means."""
