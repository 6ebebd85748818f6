"""Archives that verbs write: to a file that appears when it is whole, or to standard output that is no terminal."""

import os

from kist.client.part import PartFile, write_all
from kist.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kist.cli.context import Context


def write_response(request: "Callable[[], Iterable[bytes]]", path: str) -> None:
    """Make the request and write its answer's body.

    Args:
        request: asked only when there is a place to write to.
        path: of the file; empty for standard output.

    Raises:
        InvalidInput: standard output is a terminal, or the path cannot be a file's.
        NotFound: the file's directory does not exist.
    """
    if not path:
        if os.isatty(1):
            raise InvalidInput("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for data in request():
            write_all(1, data)
        return
    _check(path)
    response = request()
    with PartFile(path) as file:
        for data in response:
            write_all(file.fd, data)


def write_document(context: "Context", document: bytes, path: str) -> None:
    """Write a text to a file, which appears when it is whole, or to standard output, be it a terminal.

    Raises:
        InvalidInput, NotFound: as ``write_response``.
    """
    if not path:
        context.write(document)
        return
    _check(path)
    with PartFile(path) as file:
        write_all(file.fd, document)


def _check(path: str) -> None:
    above = os.path.dirname(path)
    if above and not os.path.isdir(above):
        raise NotFound(f'invalid output path: directory "{above}" does not exist')
    if os.path.isdir(path):
        raise InvalidInput(f'invalid output path: "{path}" is a directory')
