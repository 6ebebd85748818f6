"""What can go wrong, by whose fault it is.

Each class fixes one HTTP status (for the API) and one exit code (for the command line). The message names the
cause; ``hint`` names what to do next. Errors are raised where the cause is known and translated only at the edges:
by ``kist.api`` into a status and JSON, by ``kist.client`` back into the same class, by ``kist.cli`` into text and an
exit code.
"""

__all__ = [
    "CommandNotExecutable",
    "CommandNotFound",
    "Conflict",
    "Corrupt",
    "Forbidden",
    "InvalidInput",
    "KistError",
    "NotFound",
    "Overlap",
    "ParseError",
    "StepFailed",
    "Unavailable",
    "Unsupported",
    "by_name",
    "from_os_error",
    "see_doctor",
]

_WIDEST = 160  # characters of a line that an error shows


class KistError(Exception):
    """A failure inside Kist itself; the base of all the others.

    Args:
        message: the cause, one sentence, starting in lower case as in Docker's own messages.
        hint: what the reader can do about it; shown on a line of its own.
    """

    http_status = 500
    exit_code = 125

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidInput(KistError):
    """The request cannot be right, whatever the state of the machine."""

    http_status = 400


class NotFound(KistError):
    """The named thing does not exist here."""

    http_status = 404


class Conflict(KistError):
    """The request is fine, but the state of things stands against it (a name taken, an image in use)."""

    http_status = 409


class Overlap(Conflict):
    """The host routes a network's addresses elsewhere; ``version`` is theirs, 4 or 6."""

    def __init__(self, message: str, *, hint: str = "", version: int = 4) -> None:
        super().__init__(message, hint=hint)
        self.version = version


class Forbidden(KistError):
    """The caller, or Kist itself, lacks the permission."""

    http_status = 403


class Unavailable(KistError):
    """Something outside cannot be reached or is used up: a mirror, the network, the disk, a kernel feature."""

    http_status = 503


class Unsupported(KistError):
    """Kist does not do this (yet), and says so rather than doing half of it."""

    http_status = 501


class Corrupt(KistError):
    """Data does not match its digest, its signature or its format."""

    http_status = 500


class CommandNotFound(KistError):
    """The container's command does not exist in the image."""

    http_status = 400
    exit_code = 127


class CommandNotExecutable(KistError):
    """The container's command exists and cannot be executed."""

    http_status = 400
    exit_code = 126


class StepFailed(KistError):
    """A command that a build ran ended with a code other than 0; ``exit_code`` is that code."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ParseError(InvalidInput):
    """A text that people write could not be read; points at the place.

    Args:
        message: what is wrong and what was expected.
        source: the name of the file (``Dockerfile``).
        line: 1-based line number.
        column: 1-based column, in characters.
        text: that line of the source, without its line end.
        hint: what to do about it.
    """

    def __init__(
        self, message: str, *, source: str = "", line: int = 0, column: int = 0, text: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.source = source
        self.line = line
        self.column = column
        self.text = text

    def __str__(self) -> str:
        if not self.line:
            return self.message
        text, column = _window(self.text, self.column)
        caret = " " * (column - 1) + "^"
        number = str(self.line)
        margin = " " * len(number)
        return (
            f"{self.source}:{self.line}:{self.column}: {self.message}\n"
            f" {margin} |\n {number} | {text}\n {margin} | {caret}"
        )


def _window(text: str, column: int) -> tuple[str, int]:
    """What is shown of a line around a column, and the column in that: long lines are cut on both sides."""
    if len(text) <= _WIDEST:
        return text, column
    start = min(max(column - 1 - _WIDEST // 2, 0), len(text) - _WIDEST)
    before, after = "…" if start else "", "…" if start + _WIDEST < len(text) else ""
    return f"{before}{text[start : start + _WIDEST]}{after}", column - start + len(before)


def by_name(name: str) -> type[KistError]:
    """The class of this name, ``KistError`` for an unknown one (an engine newer than this client)."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, KistError) else KistError


def see_doctor(code: str, hint: str = "") -> str:
    """A hint for what the machine lacks: it ends with the command that tells its cost and what mends it.

    Args:
        code: a finding of ``kist.doctor`` (a test compares).
        hint: what there is to say beside.
    """
    more = f"`kist doctor {code}` tells more"
    return f"{hint}; {more}" if hint else more


def from_os_error(error: OSError, doing: str) -> KistError:
    """The error of ours that tells a failed system call: what was being done, the cause, the way out.

    Args:
        error: from the kernel, with errno and perhaps a file name.
        doing: what failed, as the start of a sentence (``write blob``, ``unpack layer``).
    """
    import errno  # noqa: PLC0415 - every command imports this module, and few need the numbers

    where = f" {error.filename}" if error.filename else ""
    message = f"{doing}{where}: {(error.strerror or str(error)).lower()}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(
            message, hint=see_doctor("space", "free some space there, or choose another data root with KIST_ROOT")
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return not_writable(message)
    if error.errno == errno.EFBIG:
        hint = "leave that file out: it is larger than the file system of the data root has files"
        return InvalidInput(message, hint=hint)
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}:
        return Unavailable(message)
    return KistError(message)


def not_writable(message: str) -> Forbidden:
    """The error for a data root that refuses what is to be done in it."""
    hint = "run as a user who may write there, or choose another data root with KIST_ROOT"
    return Forbidden(message, hint=see_doctor("data-root owners", hint))
