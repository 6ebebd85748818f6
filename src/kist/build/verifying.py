"""Two builds of one plan held against each other: which files of which step differ, and how (``--verify``)."""

import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO

from kist.build.plan import Plan, Step
from kist.build.result import Result
from kist.errors import Conflict
from kist.spec.digest import Digest
from kist.spec.interface import Progress
from kist.spec.progress import (
    Event,
    FileDiffers,
    StepDiffers,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Verified,
)
from kist.store import Store

_MOST_TOLD = 50  # files of a step
_CHUNK = 1 << 20
_BEFORE, _AFTER = 20, 40
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.DIRTYPE: "directory",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
}
_XATTR = "SCHILY.xattr."


def build_again(
    store: Store,
    plan: Plan,
    first: Mapping[str, Result],
    build: Callable[[Progress], Mapping[str, Result]],
    tell: Progress,
) -> None:
    """Carry a plan out once more, under one step, and tell whether it came to the same.

    Args:
        store: has the layers.
        plan: what was carried out.
        first: what each step made.
        build: does it without the cache, telling its progress.
        tell: told of that in short, and of ``Verified``.

    Raises:
        Conflict: it did not; ``Verified`` has said how.
        KistError: the second build failed.
    """
    step, began, done = "verify", time.monotonic(), 0
    tell(StepStarted(step, "building again without the cache"))

    def show(event: Event) -> None:
        nonlocal done
        if isinstance(event, StepFinished) and not event.error:
            done += 1
        if isinstance(event, StepFinished | StepProgress | StepOutput):
            tell(StepProgress(step, done, len(plan.steps), "steps"))

    try:
        again = build(show)
    except BaseException as error:
        tell(StepFinished(step, time.monotonic() - began, error=str(error) or type(error).__name__))
        raise
    found = verify(store, plan, first, again)
    tell(StepFinished(step, time.monotonic() - began))
    tell(found)
    if found.differing:
        raise Conflict(
            f"this build is not reproducible: {len(found.differing)} of its {found.layers} layers differ",
            hint="see docs/guide/reproducible.md for what usually does",
        )


def verify(store: Store, plan: Plan, first: Mapping[str, Result], again: Mapping[str, Result]) -> Verified:
    """What differs between two builds of a plan, step by step.

    Args:
        store: has the layers of both.
        plan: of both.
        first: what each step made.
        again: the same, of the second build.
    """
    layers, differing = 0, []
    for step in plan.steps:
        if not step.requires:
            continue
        mine, theirs = _own(step, first), _own(step, again)
        layers += bool(mine or theirs)
        if mine != theirs:
            files = compare_layers(store, mine, theirs)
            told = tuple(islice(files, _MOST_TOLD))
            differing.append(StepDiffers(step.title, step.place, told, sum(1 for _ in files)))
    return Verified(layers, tuple(differing))


def _own(step: Step, results: Mapping[str, Result]) -> Digest | None:
    """The diff id of the layer that a step made, which is its blob's digest too; None where it made none."""
    below, result = results[step.requires[0]], results[step.id]
    own = result.layers[len(below.layers) :]
    return own[-1].diff_id if own else None


def compare_layers(store: Store, first: Digest | None, again: Digest | None) -> Iterator[FileDiffers]:
    """The members of two layers that differ, sorted by path; None is an empty layer."""
    with ExitStack() as stack:
        archives: list[dict[str, tuple[tarfile.TarFile, tarfile.TarInfo]]] = []
        for digest in (first, again):
            if digest is None:
                archives.append({})
                continue
            file = stack.enter_context(store.blobs.open(digest))
            archive = stack.enter_context(tarfile.open(fileobj=file, encoding="utf-8", errors="surrogateescape"))
            archives.append({member.name: (archive, member) for member in archive})
        one, other = archives
        for name in sorted(one.keys() | other.keys()):
            if name not in other:
                yield FileDiffers(_shown(name), "first")
            elif name not in one:
                yield FileDiffers(_shown(name), "again")
            elif how := _differences(*one[name], *other[name]):
                yield FileDiffers(_shown(name), "both", how)


def _differences(
    first: tarfile.TarFile, one: tarfile.TarInfo, again: tarfile.TarFile, other: tarfile.TarInfo
) -> tuple[str, ...]:
    told = []
    for what, mine, theirs in (
        ("kind", _KINDS.get(one.type, "?"), _KINDS.get(other.type, "?")),
        ("mode", f"{one.mode:04o}", f"{other.mode:04o}"),
        ("owner", f"{one.uid}:{one.gid}", f"{other.uid}:{other.gid}"),
        ("time", _time(one.mtime), _time(other.mtime)),
        ("link to", _shown(one.linkname), _shown(other.linkname)),
        ("device", f"{one.devmajor}:{one.devminor}", f"{other.devmajor}:{other.devminor}"),
        ("size", str(one.size), str(other.size)),
    ):
        if mine != theirs:
            told.append(f"{what} {mine} → {theirs}")
    names = {key for key in (one.pax_headers.keys() | other.pax_headers.keys()) if key.startswith(_XATTR)}
    told += [
        f"attribute {key.removeprefix(_XATTR)}"
        for key in sorted(names)
        if one.pax_headers.get(key) != other.pax_headers.get(key)
    ]
    if one.isreg() and other.isreg():
        told += _content(first.extractfile(one), again.extractfile(other))  # type: ignore[arg-type]  # of a file
    return tuple(told)


def _content(one: BinaryIO, other: BinaryIO) -> Iterator[str]:
    """Where two contents begin to differ, with what is around."""
    offset = 0
    while (mine := one.read(_CHUNK)) == (theirs := other.read(_CHUNK)):
        if not mine:
            return
        offset += len(mine)
    common = next(
        (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs))
    )
    at = offset + common
    begin = max(0, at - _BEFORE)
    sides = []
    for file in (one, other):
        file.seek(begin)
        sides.append(file.read(at - begin + _AFTER))
    yield f"content from byte {at} on\n{_text(sides[0], begin)}\n{_text(sides[1], begin)}"


def _text(data: bytes, begin: int) -> str:
    text = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" if byte != 10 else "\\n" for byte in data)
    return f"{'…' if begin else ''}{text}{'…' if len(data) >= _AFTER else ''}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
