"""``--env-host PATTERN``: which of the caller's variables a container gets. Without a pattern it gets none."""

from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def chosen(patterns: "Iterable[str]", environment: "Mapping[str, str]") -> "dict[str, str]":
    """The variables whose names match a pattern (``OMP_*``; case counts), sorted by name."""
    known = tuple(patterns)
    return {name: environment[name] for name in sorted(environment) if any(fnmatchcase(name, each) for each in known)}
