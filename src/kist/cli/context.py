"""What a command works with: the environment, the engine, and where its words go."""

import os
import sys

from kist.client.endpoint import DEFAULT, chosen_context, config_directory, read_config, resolve
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kist.cli.ahead import Begun
    from kist.cli.build_directory import BegunBuild
    from kist.cli.in_process import InProcess
    from kist.cli.option import Arguments
    from kist.client.endpoint import Endpoint, Tls
    from kist.client.wire import Wire
    from kist.errors import KistError

_RED = "\x1b[1;31m"
_YELLOW = "\x1b[33m"
_OFF = "\x1b[0m"
_OF_TLS = frozenset({"tls", "tlsverify", "tlscacert", "tlscert", "tlskey"})


class Context:
    """Made once per command.

    Args:
        environment: as ``os.environ``.
        begun: what the engine has been asked for already.

    Attributes:
        host: the value of ``-H``, empty where it was not given.
        chosen: the value of ``--context``, likewise.
        config: the directory of Docker's client configuration, whose defaults hold here too.
        begun: see there.
        debug: an error is shown with the place that it comes from.
    """

    def __init__(self, environment: "Mapping[str, str]", begun: "Begun | BegunBuild | None" = None) -> None:
        self.environment = environment
        self.host = ""
        self.chosen = ""
        self.config = config_directory(environment)
        self._tls: Tls | None = None
        # What says where the engine is, where the options do not.
        self._of_endpoint = environment
        self.debug = False
        self._warns = True
        self.begun = begun
        self._wire: Wire | None = begun.wire if begun is not None else None

    def configure(self, program: "Arguments") -> None:
        """Take over the options that stand before the verb."""
        self.host = program.text("host")
        self.chosen = program.text("context")
        self.config = program.text("config") or self.config
        if program.values.keys() & _OF_TLS:
            from kist.cli.tls import tls_of  # noqa: PLC0415 - for engines on other machines only

            self._tls = tls_of(program, self.environment, self.config)
            self._of_endpoint = {**self.environment, "DOCKER_TLS": "", "DOCKER_TLS_VERIFY": ""}
        self.debug = program.flag("debug") or program.text("log_level") == "debug"
        self._warns = program.text("log_level") not in {"error", "fatal"}

    @property
    def wire(self) -> "Wire":
        """The engine; it is connected to (and started) by the first request."""
        if self._wire is None:
            from kist.client.wire import Wire  # noqa: PLC0415 - --help needs no engine

            self._wire = Wire(self.endpoint())
        return self._wire

    def endpoint(self) -> "Endpoint":
        """Where the engine is; nothing is connected.

        Raises:
            KistError: that cannot be said, or not like that.
        """
        return self._resolve(self.host, self.chosen)

    def default_endpoint(self) -> "Endpoint":
        """Where the engine is without a context."""
        return self._resolve(self.host, "" if self.host else DEFAULT)

    def endpoint_at(self, host: str) -> "Endpoint":
        """The endpoint that a host names, if there can be one."""
        return self._resolve(host, "")

    def _resolve(self, host: str, context: str) -> "Endpoint":
        return resolve(self._of_endpoint, os.getuid(), host, context=context, tls=self._tls, config=self.config)

    def context_name(self) -> str:
        """The context that holds, which need not exist."""
        if self.chosen:
            return self.chosen
        return (not self.host and chosen_context(self.environment, self.config)) or DEFAULT

    def use(self, wire: "Wire | InProcess") -> None:
        """Talk to this one in place of the engine at the endpoint."""
        self._wire = wire  # type: ignore[assignment]  # it does what ``run`` asks of a wire

    def settings(self) -> "dict[str, Any]":
        """Docker's client configuration (``config.json``); empty where there is none.

        Raises:
            InvalidInput: it is not JSON.
        """
        return dict(read_config(self.config))

    def detach_keys(self, arguments: "Arguments") -> bytes:
        """The keys that detach: as ``--detach-keys`` says, else the client's configuration, else the usual ones.

        Raises:
            InvalidInput: the configuration's are none.
        """
        from kist.spec.detach import DEFAULT_KEYS, parse_keys  # noqa: PLC0415 - for terminals only

        if "detach_keys" in arguments.values:
            return bytes(arguments.get("detach_keys"))
        text = str(self.settings().get("detachKeys") or "")
        try:
            return parse_keys(text) if text else DEFAULT_KEYS
        except ValueError as error:
            raise InvalidInput(f'invalid detachKeys "{text}" in {self.config}/config.json: {error}') from None

    def say(self, text: str) -> None:
        """A line of data, on standard output."""
        sys.stdout.write(text + "\n")

    def write_text(self, text: str) -> None:
        """Lines of data as they are, on standard output, whatever bytes names of files brought into them."""
        self.write(text.encode("utf-8", "surrogateescape"))

    def write(self, data: bytes) -> None:
        """Bytes as they are, on standard output."""
        from kist.client.part import write_all  # noqa: PLC0415 - for verbs that print bytes

        sys.stdout.flush()
        write_all(1, data)

    def note(self, text: str) -> None:
        """A line of progress or warning, on standard error."""
        sys.stderr.write(text + "\n")

    def warn(self, text: str, *, mark: bool = True) -> None:
        """A warning, on standard error; ``--log-level error`` leaves it out. Without the mark, its second line."""
        if not self._warns:
            return
        word = f"{_YELLOW}warning:{_OFF}" if self.colour(2) else "warning:"
        self.note(f"{word} {text}" if mark else text)

    def fail(self, error: "KistError", look_up: str = "") -> None:
        """Show an error: the cause, the hint on a line of its own, and the command to look it up with."""
        sys.stdout.flush()
        mark = f"{_RED}kist:{_OFF}" if self.colour(2) else "kist:"
        lines = [f"{mark} {error}"]
        if error.hint:
            lines.append(error.hint)
        if look_up:
            lines.append(f"See '{look_up}'.")
        self.note("\n".join(lines))
        if self.debug:
            import traceback  # noqa: PLC0415 - for -D only

            traceback.print_exception(error)

    def colour(self, fd: int) -> bool:
        """Whether words on this descriptor may be coloured (https://no-color.org)."""
        return not self.environment.get("NO_COLOR") and self.environment.get("TERM") != "dumb" and os.isatty(fd)

    def width(self) -> int:
        """Columns of the terminal; 100 in a pipe."""
        try:
            return os.get_terminal_size(1).columns
        except OSError:
            return 100
