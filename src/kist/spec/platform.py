"""Platforms of images (OCI image specification, image-index.md, "platform")."""

from typing import Self

import msgspec

from kist.errors import InvalidInput

# The kernel's machine names, and what other tools write, against the names of GOARCH.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64el": ("ppc64le", ""),
}
# Variants that are the usual ones of their architecture, and mean the same as none.
_USUAL = frozenset({("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")})


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operating system and a machine architecture, in Go's names."""

    architecture: str
    # Read where it is missing, written always (image-index.md requires it): what a factory makes is not left out.
    os: str = msgspec.field(default_factory=lambda: "linux")
    variant: str = ""

    @classmethod
    def of_machine(cls, machine: str) -> Self:
        """The platform of ``uname -m``."""
        architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
        return cls(architecture=architecture, variant=variant)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/architecture[/variant]`` or an architecture alone; ``arm64/v8`` is ``arm64``.

        Raises:
            InvalidInput: there are more than three parts, or an empty one.
        """
        parts = text.lower().split("/")
        if not 1 <= len(parts) <= 3 or not all(parts):
            raise InvalidInput(f"invalid platform {text!r}", hint="a platform looks like linux/amd64 or linux/arm/v7")
        if len(parts) == 1:
            return cls.of_machine(parts[0])
        known = cls.of_machine(parts[1])
        variant = parts[2] if len(parts) == 3 else known.variant
        return cls(architecture=known.architecture, os=parts[0], variant=variant).usual

    @property
    def usual(self) -> Self:
        """The same without a variant that its architecture has anyway."""
        return msgspec.structs.replace(self, variant="") if (self.architecture, self.variant) in _USUAL else self

    def is_one_of(self, wanted: "Platform") -> bool:
        """Whether this is the platform that is wanted; a variant counts only where one is asked for."""
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and wanted.usual.variant in {"", self.usual.variant}

    def runs_on(self, host: "Platform") -> bool:
        """Whether this machine's kernel runs programs of this platform without emulation."""
        if self.os != host.os:
            return False
        return (self.architecture, host.architecture) in {
            (host.architecture, host.architecture),
            ("386", "amd64"),
        }

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
