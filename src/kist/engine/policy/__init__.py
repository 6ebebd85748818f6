"""What callers who are not the engine's own user may do with root's engine."""
