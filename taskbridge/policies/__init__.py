"""Pure decisions: what a failure or an unknown argument leads to. No clock, no store, no I/O."""
