"""Build checks without an engine: what they are about is read from a directory (Dockerfile, .dockerignore, lock)."""

import os

from kist.errors import InvalidInput, NotFound
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import Ignore, parse
from kist.spec.dockerfile.checks.checking import look_at
from kist.spec.dockerfile.checks.finding import CheckReport
from kist.spec.dockerfile.checks.subject import BasePlatform, Environment, Facts
from kist.spec.dockerfile.ignore import NAME as IGNORE_NAME
from kist.spec.dockerfile.ignore import OF_ONE
from kist.spec.lockfile import parse_lock
from kist.spec.lockname import lock_path
from kist.spec.platform import Platform

_LARGEST_TEXT = 16 << 20
_USUAL = ("Dockerfile", "dockerfile", "Containerfile")


def check(
    context: str,
    options: BuildOptions | None = None,
    *,
    text: bytes | None = None,
    name: str = "Dockerfile",
    environment: Environment = lambda _: None,
    base_platform: BasePlatform = lambda _, __: None,
) -> CheckReport:
    """Hold the Dockerfile of a directory against the rules (docs/reference/build-checks.md). Nothing is built.

    Args:
        context: the directory that COPY and ADD would see.
        options: of the build; ``dockerfile``, ``build_args``, ``target``, ``platform`` and ``contexts`` count.
        text: the Dockerfile, where it is read already, and what it is called.
        name: the same.
        environment: tells the environment (``NAME=value``) of a base image, None where it is not known.
        base_platform: the same of the platform, that an image of this name has for the wanted one or at all.

    Raises:
        NotFound: there is no such directory, or no Dockerfile in it.
        ParseError: the Dockerfile or the ``.dockerignore`` cannot be read; points at the place.
        InvalidInput: there is no such target stage, or a file is too large.
    """
    options = options or BuildOptions()
    if text is None:
        name, text = read_dockerfile(context, options.dockerfile)
    host = Platform.of_machine(os.uname().machine)
    facts = Facts(
        platform=Platform.parse(options.platforms[0]) if options.platform else host,
        host=host,
        build_args=options.build_args,
        target=options.target,
        ignore=_ignore(context, name),
        locked=_locked(context, name),
        environment=environment,
        contexts=options.contexts,
        base_platform=base_platform,
    )
    return look_at(parse(text, name), facts)


def read_dockerfile(context: str, path: str) -> tuple[str, bytes]:
    """The path and the text of a directory's Dockerfile; where there is none of the usual name, of the other ones.

    Raises:
        NotFound: there is no such directory, or no Dockerfile in it.
        InvalidInput: it is too large.
    """
    if not os.path.isdir(context):
        raise NotFound(f"unable to prepare context: path {context!r} not found", hint="name the directory to build")
    for name in _USUAL if path == _USUAL[0] else (path,):
        text = _read(context, name)
        if text is not None:
            return name, text
    raise NotFound(f"failed to read the Dockerfile: {path!r} not found in {context!r}", hint="name its path")


def _ignore(context: str, dockerfile: str) -> Ignore | None:
    for name in (OF_ONE.format(dockerfile), IGNORE_NAME):
        text = _read(context, name)
        if text is not None:
            return Ignore.parse(text, name)
    return None


def _locked(context: str, dockerfile: str) -> frozenset[str]:
    path = lock_path(dockerfile)
    text = _read(context, path)
    if text is None:
        return frozenset()
    return frozenset(image.name for image in parse_lock(text.decode("utf-8", "replace"), path).images)


def _read(context: str, name: str) -> bytes | None:
    try:
        with open(os.path.join(context, name.lstrip("/")), "rb") as file:
            text = file.read(_LARGEST_TEXT + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(f"{name!r} cannot be read: {error.strerror}") from None
    if len(text) > _LARGEST_TEXT:
        raise InvalidInput(f"{name!r} is larger than {_LARGEST_TEXT >> 20} MiB")
    return text
