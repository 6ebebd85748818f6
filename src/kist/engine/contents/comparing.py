"""Two images held against each other: by packages, and by files. Pure."""

from msgspec.structs import replace

from kist.engine.contents.index import DIRECTORY, HARD_LINK, REGULAR, SYMBOLIC_LINK, File, Files
from kist.inventory.layers import changed
from kist.inventory.versions import compare
from kist.spec.insight import FileDifference, VersionDifference
from kist.spec.package import ImagePackages, Package


def package_differences(
    first: ImagePackages, second: ImagePackages
) -> tuple[tuple[Package, ...], tuple[Package, ...], tuple[VersionDifference, ...]]:
    """Packages that were added, those that were removed, and those of another version."""
    before, after = ([each.package for each in side.packages] for side in (first, second))
    added, removed, pairs = changed(before, after)
    told = (
        VersionDifference(was, now, "newer" if compare(was.type, was.version, now.version) < 0 else "older")
        for was, now in pairs
    )
    return added, removed, tuple(told)


def file_differences(first: Files, second: Files) -> tuple[FileDifference, ...]:
    """Files that are not the same, by path. Times are no difference, nor is a directory for what is in it.

    Of a directory that is there in one of them alone, all that is in it is told too.
    """
    found = []
    for path in sorted(first.seen.keys() | second.seen.keys()):
        was, now = first.seen.get(path), second.seen.get(path)
        before, after = _real(was.file) if was else None, _real(now.file) if now else None
        if before == after and before is not None:
            continue
        what = () if before is None or after is None else _what(before, after)
        if before is None or after is None or what:
            kind = "added" if before is None else "removed" if after is None else "changed"
            size_before, size_after = before.size if before else 0, after.size if after else 0
            text = "/" + path.decode("utf-8", "replace")
            found.append(FileDifference(text, kind, size_before, size_after, what))
    return tuple(found)


def _real(file: File) -> File:
    """A further name of a file as the file that it is: how many names one has is no difference."""
    return replace(file, kind=REGULAR, same_as=b"") if file.kind == HARD_LINK else file


def _what(before: File, after: File) -> tuple[str, ...]:
    if before.kind != after.kind:
        return ("type",)
    found = []
    if before.content != after.content and before.kind != DIRECTORY:
        found.append("target" if before.kind == SYMBOLIC_LINK else "content")
    if before.mode != after.mode and before.kind != SYMBOLIC_LINK:
        found.append("mode")
    if (before.uid, before.gid) != (after.uid, after.gid):
        found.append("owner")
    return tuple(found)
