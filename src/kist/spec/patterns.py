"""Regular expressions of callers who are not the engine's own user.

Python's ``re`` tries all ways in which repeated parts can match, which takes longer than anybody lives for ``(a+)+$``
and a line of forty letters; it holds all threads of the engine up meanwhile, and nothing can end it.
"""

import re

from kist.errors import Forbidden

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_REPEATING = frozenset("*+?{(|")
_LONGEST = 256


def is_quick(pattern: str) -> bool:
    """Whether each part of a pattern takes one character, so that it is matched in one way or not at all."""
    return len(pattern) <= _LONGEST and _REPEATING.isdisjoint(_ESCAPED.sub("", pattern))


def check_quick(pattern: str, what: str) -> None:
    """Refuse a pattern that could hold the engine up.

    Args:
        pattern: of ``re``.
        what: it is for.

    Raises:
        Forbidden: it may take long.
    """
    if not is_quick(pattern):
        raise Forbidden(
            f"the regular expression of {what} is refused: with it anybody could have the engine search for ever",
            hint=f"write text, '.', '[a-z]', '^' and '$' alone, at most {_LONGEST} characters, and '\\(' for '('",
        )
