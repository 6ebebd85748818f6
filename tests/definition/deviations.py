"""Where an answer may differ from the definition, and why."""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from definition.document import Operation
from kist.spec.docker.versions import LATEST

_PREFIX = re.compile(r"/v(\d+)\.(\d+)/")
NEVER = (9, 99)


class Deviation(NamedTuple):
    """One way in which answers may differ.

    Attributes:
        names: of operations, with ``*`` as in names of files.
        kinds: what differs, as ``exchange`` says it: ``unknown State.Usage``, ``status 400``.
        reason: why it may.
        before: only in answers of an older version of the API than this.
    """

    names: str
    kinds: str
    reason: str
    before: tuple[int, int] = NEVER

    def fits(self, name: str, kind: str) -> bool:
        """Whether it is about an operation of this name, and this difference."""
        return fnmatchcase(name, self.names) and fnmatchcase(kind, self.kinds.replace("[]", "[[]]"))


_MALFORMED = "dockerd, too, refuses a malformed request so, whatever it is for; the definition tells it of some"
_OWN = "Kist's own, beside Docker's"
_NIL = "Go's nil: dockerd writes null for what was not set"

KNOWN = (
    Deviation("*", "status 400", _MALFORMED),
    Deviation("*", "status 413", "a body that is longer than any can be; dockerd reads it all"),
    Deviation("*", "status 501", "what Kist does not do is refused by name"),
    Deviation("ImageGet*", "status 404", "dockerd answers so when there is no such image"),
    Deviation("*", "unknown hint", _OWN),
    Deviation("*", "unknown error", _OWN),
    Deviation("*", "unknown exit_code", _OWN),
    Deviation("Container*", "unknown *Usage", _OWN),
    Deviation("Container*", "unknown *SizeLog", _OWN),
    Deviation("Container*", "unknown *DiskSize", _OWN),
    Deviation("*", "null *HostConfig.*", _NIL),
    Deviation("*", "null *Config.*", _NIL),
    Deviation("*", "null *NetworkSettings.Networks.*.*", _NIL),
    Deviation("Volume*", "null *Labels", _NIL),
    Deviation("Volume*", "null *Options", _NIL),
    Deviation("VolumeList", "null Warnings", _NIL),
    Deviation("Network*", "null *IPAM.Options", _NIL),
    Deviation("*Prune", "null *Deleted", _NIL),
    Deviation("SystemInfo", "null Warnings", _NIL),
    Deviation("SystemInfo", "null Plugins.Authorization", _NIL),
    Deviation("SystemInfo", "null GenericResources", _NIL),
    Deviation("ContainerChanges", "null", _NIL),
    Deviation("SystemInfo", "unknown RootlessIds", _OWN),
    Deviation("ContainerResize", "status 409", "dockerd answers so when it does not run"),
    Deviation("ImageLoad", "status 404", "a platform that the archive has not; dockerd tells it in its stream"),
    Deviation("ImageCreate", "status 503", "an address that does not answer; dockerd answers 500"),
    Deviation("ImageBuild", "status 503", "an address that does not answer; dockerd answers 500"),
    Deviation("ExecStart", "status 101", "dockerd answers so to Upgrade: tcp; the definition tells it of attach alone"),
    Deviation("NetworkCreate", "status 409", "dockerd answers so when the name is taken"),
    Deviation("VolumeCreate", "status 409", "dockerd answers so when the name is taken, by another driver's volume"),
    Deviation("Container*ause", "status 409", "dockerd answers 409, or 500, when it does not run or is not paused"),
    Deviation("ContainerUpdate", "status 409", "a limit that does not go with what is used; dockerd answers 500"),
    Deviation("ContainerTop", "status 409", "dockerd answers so when it does not run"),
    *(
        Deviation("SystemDataUsage", f"unknown {name}", "dockerd adds them for clients that name no version")
        for name in ("BuildCache", "Containers", "Images", "LayersSize", "Volumes")
    ),
    Deviation("ContainerStart", "status 409", "dockerd answers so when it is paused"),
    Deviation("ContainerRestart", "status 409", "what it is to join is not to be had; a start answers so too"),
    Deviation("ImageBuild", "status 404", "a Dockerfile or an image that is not there; dockerd answers 500"),
    Deviation("Image*", "missing *ImageData.UnpackedSize", "the definition requires it, and has no such property"),
    Deviation("NetworkPrune", "unknown SpaceReclaimed", _OWN),
    Deviation("SystemDataUsage", "unknown TotalSize", _OWN),
    Deviation("SystemDataUsage", "unknown OtherUsage", _OWN),
    Deviation("SystemDataUsage", "unknown DataRoot", _OWN),
    Deviation("SystemDataUsage", "unknown Ceilings", _OWN),
    Deviation("ContainerWait", "null Error", "dockerd wrote null until API 1.41, and its clients take it"),
    Deviation("ExecInspect", "null ExitCode", "dockerd writes null while the process runs"),
    Deviation("ContainerStats", "null blkio_stats.*", _NIL),
    Deviation("ImageHistory", "null [].Tags", _NIL),
    Deviation("SystemEvents", "body", "no event may have happened"),
    Deviation("ImageCreate", "status 403", "a reserved name; dockerd answers 500"),
    Deviation("*", "kind text/plain*", "clients before API 1.24 show an error's body as it is", before=(1, 24)),
    Deviation(
        "SystemEvents", "kind application/json", "the definition tells of the newest version only", before=(1, 52)
    ),
    Deviation(
        "*", "unknown *", "so are the fields that an older version had (tests/compat/test_versions.py)", before=LATEST
    ),
)


def known(operation: Operation, kind: str, target: str) -> bool:
    """Whether it is known that answers of an operation differ in this way."""
    prefix = _PREFIX.match(target)
    version = (int(prefix[1]), int(prefix[2])) if prefix else LATEST
    return any(each.fits(operation.name, kind) and version < each.before for each in KNOWN)
