"""Build arguments that are told to the builder (Dockerfile reference, "BuildKit built-in build args"), by their names.

Those that steps need are read where steps are made; those that say how a build goes are read here, before it begins.
"""

from collections.abc import Mapping
from difflib import get_close_matches

import msgspec

from kist.engine.bundle import check_hostname
from kist.spec.build import BuildOptions
from kist.spec.build_cache import INLINE
from kist.spec.dockerfile import Dockerfile
from kist.spec.dockerfile.checks.settings import ARGUMENT as CHECKS
from kist.spec.dockerfile.parser import is_own_syntax
from kist.spec.dockerfile.scope import CACHE_NAMESPACE, HOSTNAME, OF_THE_BUILDER, declared_arguments

KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
MULTI_PLATFORM = "BUILDKIT_MULTI_PLATFORM"
_INLINE_CACHE, _SYNTAX, _NAME = "BUILDKIT_INLINE_CACHE", "BUILDKIT_SYNTAX", "BUILDKIT_BUILD_NAME"
_ITS_OWN_SYNTAX = "dockerfile.v0"
_READ = (KEEP_GIT, MULTI_PLATFORM, _INLINE_CACHE, _SYNTAX, CACHE_NAMESPACE, HOSTNAME, CHECKS, "SOURCE_DATE_EPOCH")
_TRUE = frozenset({"1", "t", "true"})


def is_set(build_args: Mapping[str, str], name: str) -> bool:
    """Whether an argument is true, in the words of Go's ``ParseBool``."""
    return build_args.get(name, "").strip().lower() in _TRUE


def with_builder_arguments(options: BuildOptions, dockerfile: Dockerfile) -> tuple[BuildOptions, tuple[str, ...]]:
    """The options that arguments stand for, and a sentence for each that changes nothing here.

    Raises:
        InvalidInput: one of them cannot be right.
    """
    given = options.build_args
    if given.get(HOSTNAME):
        check_hostname(given[HOSTNAME], HOSTNAME)
    if is_set(given, _INLINE_CACHE) and INLINE not in options.cache_to:
        options = msgspec.structs.replace(options, cache_to=(*options.cache_to, INLINE))
    warnings = []
    syntax = given.get(_SYNTAX, "")
    if syntax and syntax != _ITS_OWN_SYNTAX and not is_own_syntax(syntax):
        warnings.append(f"{_SYNTAX}={syntax} is not used: it is read as a Dockerfile of docker/dockerfile:1")
    if _NAME in given:
        warnings.append(f"{_NAME} has no effect: no history of builds is kept")
    known = {*_READ, _NAME, *declared_arguments(dockerfile)}
    for name in sorted(given):
        if OF_THE_BUILDER.fullmatch(name) and name not in known:
            near = get_close_matches(name, _READ, n=1, cutoff=0.8)
            meant = f": did you mean {near[0]}?" if near else ""
            warnings.append(f"{name} has no effect: Kist knows no such argument{meant}")
    return options, tuple(warnings)
