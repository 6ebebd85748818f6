"""The header that tells what is at a path of a container (Engine API, ContainerArchiveInfo)."""

import binascii
from collections.abc import Mapping
from typing import Any

from kist.errors import Unavailable
from kist.spec.docker.times import read_time, write_time
from kist.spec.files import PathStatus
from kist.spec.json import decode, encode

_EPOCH = "1970-01-01T00:00:00Z"
HEADER = "X-Docker-Container-Path-Stat"


def write_path_status(status: PathStatus) -> str:
    """The header's value: JSON in base 64."""
    value = {
        "name": status.name,
        "size": status.size,
        "mode": status.mode,
        "mtime": write_time(status.mtime) if status.mtime else _EPOCH,
        "linkTarget": status.link_target,
    }
    return binascii.b2a_base64(encode(value), newline=False).decode()


def read_path_status(headers: Mapping[str, str]) -> PathStatus:
    """The status out of an answer's headers, whose names are in lower case.

    Raises:
        Unavailable: there is no such header, or nothing that can be read in it.
    """
    try:
        value = decode(binascii.a2b_base64(headers[HEADER.lower()]), dict[str, Any], what="path status")
        mtime = read_time(value["mtime"], now=0, what="mtime")
        return PathStatus(value["name"], value["size"], value["mode"], mtime, value["linkTarget"])
    except (KeyError, ValueError) as error:
        raise Unavailable(f"the engine's answer has no status of the path: {error}") from error
