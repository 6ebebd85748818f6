"""argv -> client; printing.

What every command pays is imported at the top of these modules; what one verb needs, by that verb. A clean CPython
starts in 10 ms, and the whole of ``kist run`` has 38.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from kist.cli.ahead import Begun
    from kist.cli.build_directory import BegunBuild


def main() -> "NoReturn":
    """The program ``kist``."""
    import gc  # noqa: PLC0415 - inside, so that importing this package costs nothing
    import os  # noqa: PLC0415 - the same
    import sys  # noqa: PLC0415 - the same

    gc.set_threshold(20_000)  # at the usual 700, looking for cycles in modules takes 0.7 ms of a short command
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_what_is_closed()
    try:
        from kist.cli import finder  # noqa: PLC0415 - the same

        finder.install()
        environment: Mapping[str, str] = os.environ
        if uid := os.getuid():
            from kist.client.environment import settled  # noqa: PLC0415 - the same; root's places hang on nothing of it

            environment = settled(environment, uid)
        begun: Begun | BegunBuild | None = None
        code: int | None = None
        argv: Sequence[str] = sys.argv[1:]
        verb = argv[0] if argv else ""
        if verb == "exec":
            from kist.cli import ahead  # noqa: PLC0415 - for this verb only

            begun = ahead.begin(argv, environment)
            code = ahead.hear(begun) if begun is not None else None
        elif verb in {"__begun", "__lost"} and len(argv) > 3:
            from kist.cli import ahead  # noqa: PLC0415 - the same

            argv, begun = ahead.taken_over(argv, environment)
        elif verb == "build":
            from kist.cli import build_directory  # noqa: PLC0415 - the same

            begun = build_directory.begin(argv, environment)
        if code is None:
            from kist.cli.dispatch import run  # noqa: PLC0415 - while the engine is at work, where it has been asked

            code = run(argv, environment, begun)
    except KeyboardInterrupt:
        os._exit(130)  # 128 + SIGINT; while the modules were read, or the last line was printed
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141  # 128 + SIGPIPE, as a shell sees a program that a closed pipe ended
    except OSError as error:
        os.write(2, f"kist: standard output: {error.strerror}\n".encode())
        code = code or 1
    # Tearing the interpreter down takes 1.5 ms and does nothing that the end of the process does not.
    os._exit(code)


def _open_what_is_closed() -> None:
    """Have /dev/null for each standard stream that the process was started without.

    The next file or socket would get its number otherwise, and a container's output would be written into that.
    """
    import os  # noqa: PLC0415 - as above
    import sys  # noqa: PLC0415 - the same

    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
