"""The tests; test modules may import one another's support as `tests.<folder>.<module>`."""
