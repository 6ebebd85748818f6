"""What ``build`` and ``bootstrap`` are told."""

import msgspec


class BuildOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of a build.

    Attributes:
        dockerfile: path of the Dockerfile inside the context.
        tags: references that the result gets.
        build_args: values of ARGs.
        target: name or number of the stage to build; empty for the last.
        no_cache: run every step.
        labels: added to the result's config.
    """

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    build_args: dict[str, str] = {}
    target: str = ""
    no_cache: bool = False
    labels: dict[str, str] = {}


class BootstrapOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of a bootstrap.

    Attributes:
        distribution: ``debian:12``, ``debian:13``, or a code name (``debian:bookworm``).
        variant: ``minbase`` (essential packages and apt) or ``standard`` (priority important and standard too).
        include: further packages.
        mirror: base URL of the archive; empty for the host's own apt configuration, else Debian's public one.
        snapshot: a date (``20260101T000000Z`` or ``2026-01-01``) at Debian's snapshot archive.
        lock: the text of a lock file; exactly its packages are installed.
        tag: the name of the result; empty for the distribution's own (``debian:12``).
        architecture: Debian's word (``amd64``); empty for the host's.
        keyring: armoured OpenPGP certificates that sign the mirror, in place of Debian's own; mostly empty.
    """

    distribution: str
    variant: str = "minbase"
    include: tuple[str, ...] = ()
    mirror: str = ""
    snapshot: str = ""
    lock: str = ""
    tag: str = ""
    architecture: str = ""
    keyring: str = ""
