"""Where the bytes of a build's outputs go on the caller's side: a directory, a file, standard output."""

import os

from kist.client.part import PartFile, write_all
from kist.errors import InvalidInput, NotFound, Unavailable
from kist.spec.outputs import FILES, SENT, STDOUT, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kist.spec.build import BuildOutput
    from kist.spec.outputs import ParsedOutput

    Output = ParsedOutput | BuildOutput


class Destinations:
    """The destinations of one build.

    Args:
        outputs: as they were asked for.
        warn: told of what a directory cannot have.

    Raises:
        InvalidInput: two outputs have one destination, or one cannot be written to.
        NotFound: a file's directory does not exist.
    """

    def __init__(self, outputs: "Sequence[Output]", warn: "Callable[[str], None]") -> None:
        self._outputs = outputs
        self._warn = warn
        seen: set[str] = set()
        for output in outputs:
            if output.type in SENT:
                _check(output)
                place = output.dest if output.dest == STDOUT else os.path.realpath(output.dest)
                if place in seen:
                    raise InvalidInput(f"two outputs go to {output.dest!r}", hint="give each a destination of its own")
                seen.add(place)

    def keep(self, number: int, pieces: "Iterator[bytes]") -> None:
        """Take the bytes of an output.

        Raises:
            KistError: they cannot be kept there.
        """
        output = self._outputs[number]
        try:
            self._keep(output, pieces)
        except BrokenPipeError:
            raise
        except OSError as error:
            what = f"the output {output.dest!r} cannot be written: {(error.strerror or str(error)).lower()}"
            raise Unavailable(what, hint="the steps are kept: make room there, or name another place") from error

    def _keep(self, output: "Output", pieces: "Iterator[bytes]") -> None:
        if is_directory(output):
            from kist.client.unpacking import Stream, unpack  # noqa: PLC0415 - tarfile, for directories only

            os.makedirs(output.dest, exist_ok=True)
            unpack(Stream(pieces), output.dest, "", archive=False, warn=self._warn, replaces=True)
        elif output.dest == STDOUT:
            for piece in pieces:
                write_all(1, piece)
        else:
            with PartFile(output.dest) as file:
                for piece in pieces:
                    write_all(file.fd, piece)


def is_directory(output: "Output") -> bool:
    """Whether it is unpacked."""
    return output.type == FILES or not flag(output.attributes, "tar", True)


def _check(output: "Output") -> None:
    path = output.dest
    if not path:
        raise InvalidInput(f"dest is required for {output.type} output")
    if is_directory(output):
        if os.path.lexists(path) and not os.path.isdir(path):
            raise InvalidInput(f"destination directory {path!r} is a file", hint="name a directory; it need not exist")
        return
    if path == STDOUT:
        if os.isatty(1):
            raise InvalidInput(
                "dest file is required for an output that is a tar: standard output is a terminal",
                hint="redirect it, or name a file: dest=FILE",
            )
        return
    above = os.path.dirname(path) or "."
    if not os.path.isdir(above):
        raise NotFound(f"invalid output path: directory {above!r} does not exist", hint=f"make it: mkdir -p {above}")
    if os.path.isdir(path):
        raise InvalidInput(f"destination file required, got directory {path!r}", hint=f"name a file: dest={path}/FILE")
