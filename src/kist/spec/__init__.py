"""Text and JSON to frozen values and back: no I/O, no clock, no environment (ring 0)."""
