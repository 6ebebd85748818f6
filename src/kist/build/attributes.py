"""The extended attributes of files that COPY and ADD take along (``spec/attributes.py`` has which)."""

import os
from collections.abc import Mapping

from kist.image import pretence
from kist.kernel import files
from kist.spec.attributes import goes_along


def attributes_of(file: int) -> dict[str, bytes]:
    """Those of an open file or directory."""
    if not (names := files.xattr_names(file)):
        return {}
    return {name: os.getxattr(file, name) for name in names if goes_along(name)}


def attributes_at(directory: int, name: str) -> dict[str, bytes]:
    """Those of a directory by its name in another one."""
    return {key: value for key, value in files.xattrs_at(directory, os.fsencode(name)).items() if goes_along(key)}


def give(file: int, attributes: Mapping[str, bytes]) -> None:
    """Set them; where the file system has none, none are kept."""
    for name, value in attributes.items():
        pretence.keep(file, name, value)
