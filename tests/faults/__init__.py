"""Real processes, a real Redis, real faults; what was lost and what ran twice is counted outside of taskbridge."""
