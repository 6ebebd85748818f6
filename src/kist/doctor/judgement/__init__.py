"""From what was found to findings: pure."""
