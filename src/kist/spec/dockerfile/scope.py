"""Which variables an instruction sees (Dockerfile reference, "Scope" and "Predefined ARGs").

ARGs before the first FROM are seen by FROM lines alone, unless a stage declares them again. In a stage, an ARG is seen
from its line on, also in stages that stand on it, and an ENV of the same name always wins.
"""

import re
from collections.abc import Mapping

from kist.spec.dockerfile import Dockerfile, Source, Word, expand
from kist.spec.dockerfile.instructions import Arg
from kist.spec.platform import Platform

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED = frozenset(_PROXIES) | frozenset(name.lower() for name in _PROXIES)


DEFAULT_STAGE = "default"
OF_THE_BUILDER = re.compile(r"BUILDKIT_[A-Z_]+|SOURCE_DATE_EPOCH")
"""Build arguments that are told to a builder, and need no ARG."""
HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
"""The one that tells the name of the machine that commands see."""
CACHE_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
"""The one that is put before the ids of cache mounts."""


def platform_arguments(target: Platform, build: Platform, stage: str = "") -> dict[str, str]:
    """The ARGs that tell the platforms and the target; in scope for FROM lines, and for stages that declare them."""
    found = {"TARGETSTAGE": stage or DEFAULT_STAGE}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}OSVERSION"] = ""
        found[f"{prefix}VARIANT"] = platform.variant
    return found


_PLATFORM_ARGUMENTS = platform_arguments(Platform("", ""), Platform("", "")).keys()
_NONE: Mapping[str, str] = {}
# What variables may add to one Dockerfile, in characters: each word is kept as long as its build goes on.
_MOST_ADDED = 16 << 20


class GlobalScope:
    """What FROM lines see, and what a stage's ``ARG name`` without a default falls back to."""

    def __init__(self, dockerfile: Dockerfile, build_args: Mapping[str, str], predeclared: Mapping[str, str]) -> None:
        self.source = dockerfile.source
        self.escape = dockerfile.escape
        self.build_args = build_args
        self._added = 0
        self.values = {name: build_args.get(name, value) for name, value in predeclared.items()}
        for arg in dockerfile.arguments:
            seen = dict(self.values)
            for name, default in arg.arguments:
                value = build_args.get(name.text)
                if value is None and default is not None:
                    value = self.counted(expand(default, seen, self.source, self.escape), default, self.source)
                if value is not None:
                    self.values[name.text] = value

    def expand(self, word: Word) -> str:
        """The value of a word of a FROM line."""
        return self.counted(expand(word, self.values, self.source, self.escape), word, self.source)

    def counted(self, text: str, word: Word, source: Source) -> str:
        """The text that a word has become, where variables have not made too much of all words together.

        Raises:
            ParseError: they have.
        """
        self._added += max(len(text) - len(word.text), 0)
        if self._added > _MOST_ADDED:
            raise source.error(
                word.location,
                f"variables make this Dockerfile longer by more than {_MOST_ADDED >> 20} MiB",
                hint="keep long texts in files",
            )
        return text


class StageScope:
    """The ARGs and the environment of one stage, from one instruction to the next.

    Args:
        outer: what FROM lines see.
        environment: ``NAME=value``: the variables of what the stage stands on.
        inherited: the ARGs of the stage that it stands on, if it is one.
    """

    def __init__(self, outer: GlobalScope, environment: tuple[str, ...], inherited: Mapping[str, str] = _NONE) -> None:
        self._outer = outer
        self.environment = dict(entry.partition("=")[::2] for entry in environment)
        self.arguments = dict(inherited)

    @property
    def variables(self) -> dict[str, str]:
        """All that an instruction of the stage sees."""
        return self.arguments | self.environment

    @property
    def visible_arguments(self) -> dict[str, str]:
        """The ARGs that no ENV hides: what RUN gets besides the environment."""
        return {name: value for name, value in self.arguments.items() if name not in self.environment}

    @property
    def proxies(self) -> tuple[str, ...]:
        """Predefined build arguments that were given and not declared."""
        given = self._outer.build_args
        return tuple(
            f"{name}={given[name]}" for name in sorted(PREDEFINED & given.keys()) if name not in self.arguments
        )

    def counted(self, text: str, word: Word, source: Source) -> str:
        """As ``GlobalScope.counted``: all stages count as one."""
        return self._outer.counted(text, word, source)

    def declare(self, arg: Arg, source: Source) -> tuple[tuple[str, str | None], ...]:
        """Bring an ARG into scope; gives each name with its value, None for one that is not set."""
        seen, declared = self.variables, []
        for name_word, default in arg.arguments:
            name = expand(name_word, seen, source, self._outer.escape)
            value = self._outer.build_args.get(name)
            if value is None and default is not None:
                value = self.counted(expand(default, seen, source, self._outer.escape), default, source)
            if value is None:
                value = self._outer.values.get(name)
            if value is not None:
                self.arguments[name] = value
            declared.append((name, value))
        return tuple(declared)


def declared_arguments(dockerfile: Dockerfile) -> set[str]:
    """The names of all ARGs of the file."""
    stages = (one for stage in dockerfile.stages for one in stage.instructions if isinstance(one, Arg))
    return {name.text for arg in (*dockerfile.arguments, *stages) for name, _ in arg.arguments}


def unused_build_args(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> list[str]:
    """The build arguments that no ARG of the file declares."""
    declared = declared_arguments(dockerfile)
    told = {name for name in build_args if OF_THE_BUILDER.fullmatch(name)} | _PLATFORM_ARGUMENTS
    return sorted(build_args.keys() - declared - PREDEFINED - told)
