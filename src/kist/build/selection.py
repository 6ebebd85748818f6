"""What a COPY takes: its sources found in a tree, without what ``--exclude`` leaves out."""

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kist.build.plan import CopyFiles
from kist.build.tree import Tree
from kist.errors import NotFound
from kist.spec.dockerfile import Ignore
from kist.spec.dockerfile.glob import has_wildcards


class Selected(NamedTuple):
    """A file or directory of a tree, and what of a directory's contents is taken: what no filter leaves out.

    ``unpack`` has a file unpacked where it is an archive.
    """

    tree: Tree
    path: str
    filters: tuple[Ignore, ...] = ()
    unpack: bool = False


def select(action: CopyFiles, tree: Tree) -> list[Selected]:
    """The sources of a step, in order. A wildcard may match nothing as long as something else is there to copy.

    Raises:
        NotFound: a source, or all of them, does not exist.
        InvalidInput: a link leads out of the context, or a pattern is malformed.
    """
    found: list[Selected] = []
    missing: NotFound | None = None
    for number, source in enumerate(action.sources):
        below = action.parents[number] if action.parents else ""
        try:
            found.extend(
                _below(tree, source, below) if below else (Selected(tree, path) for path in tree.select(source))
            )
        except NotFound as error:
            if not has_wildcards(f"{source}/{below}"):
                raise
            missing = missing or error
    if missing is not None and not found and not action.documents and not action.remotes:
        raise missing
    return without(action.excludes, [one._replace(unpack=action.unpack) for one in found])


def without(excludes: Sequence[str], selected: list[Selected]) -> list[Selected]:
    """What is left of a selection: a file that a pattern matches by its name goes, and of directories what matches."""
    if not excludes:
        return selected
    excluded = Ignore.of(excludes)
    return [
        one._replace(filters=(*one.filters, excluded))
        for one in selected
        if one.tree.is_directory(one.path) or not excluded.excludes(posixpath.basename(one.path))
    ]


def _below(tree: Tree, source: str, below: str) -> Iterator[Selected]:
    """What a source names; with ``--parents`` the directories in which something matches."""
    if below in {"", "."}:
        yield from (Selected(tree, path) for path in tree.select(source))
        return
    filters = (Ignore.of(("**", f"!{below}")),)
    chosen = [Selected(tree, path, filters) for path in tree.select(source)]
    chosen = [one for one in chosen if next(tree.walk(one.path, filters), None) is not None]
    if not chosen:
        tree.select(posixpath.join(source, below))  # tells what is missing
        raise NotFound(
            f'"{posixpath.join(source, below)}" leads through a symbolic link in {tree.name}',
            hint="with --parents name the directories themselves",
        )
    yield from chosen
