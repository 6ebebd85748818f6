"""``# check=skip=RULE,…;error=true;experimental=RULE,…``: which rules count (Dockerfile reference, "check").

At the top of a file it is a directive, for all of it; in a comment above an instruction it counts for that one.
"""

import re

import msgspec

_COMMENT = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})
ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands for the directive."""


class Settings(msgspec.Struct, frozen=True):
    """Which rules are left out, which experimental ones are taken in, and whether what they find is an error.

    Attributes:
        skip: names of rules; ``all`` for all but experimental ones.
        experimental: names of rules; ``all`` for all of them.
        is_error: a build with a finding fails.
    """

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read ``skip=A,B;error=true;experimental=all``.

        Raises:
            ValueError: says what was expected.
        """
        names: dict[str, frozenset[str]] = {}
        is_error = False
        for part in filter(str.strip, text.split(";")):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or key not in {"skip", "experimental", "error"}:
                raise ValueError(f"invalid check option {part.strip()!r}: expected skip=, error= or experimental=")
            if key != "error":
                names[key] = frozenset(name.strip() for name in value.split(","))
            elif value.lower() in _TRUE | _FALSE:
                is_error = value.lower() in _TRUE
            else:
                raise ValueError(f"invalid check option {part.strip()!r}: expected error=true or error=false")
        return cls(names.get("skip", frozenset()), names.get("experimental", frozenset()), is_error)

    def merged(self, other: "Settings") -> "Settings":
        """With those of one instruction, which say nothing of errors."""
        return Settings(self.skip | other.skip, self.experimental | other.experimental, self.is_error)

    def allow(self, name: str, *, is_experimental: bool) -> bool:
        """Whether a rule counts."""
        if is_experimental:
            return not self.experimental.isdisjoint({"all", name})
        return self.skip.isdisjoint({"all", name})


NONE = Settings()


def of_comments(comments: tuple[str, ...]) -> Settings:
    """The settings in the comments above an instruction: the first that has some; one that cannot be read has none."""
    for comment in comments:
        if match := _COMMENT.match(comment):
            try:
                return Settings.parse(match[1])
            except ValueError:
                return NONE
    return NONE
