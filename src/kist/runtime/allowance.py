"""How many descriptors the relays of published ports may have.

Who connects from outside decides how many are asked for. What is left is the monitor's own: for its container's names,
for exec'd processes, for the log.
"""

from __future__ import annotations

import resource


class Allowance:
    """A number of descriptors that are taken and given back; ``left`` may be had still."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, count: int) -> bool:
        """Have so many more, if they may be had."""
        if count > self.left:
            return False
        self.left -= count
        return True

    def give(self, count: int) -> None:
        """Give so many back."""
        self.left += count


def most() -> int:
    """How many are allowed altogether: three quarters of what this process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4
