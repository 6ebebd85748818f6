"""argv -> client; printing.

What every command pays is imported at the top of these modules; what one verb needs, by that verb. A clean CPython
starts in 10 ms, and the whole of ``kist run`` has 38.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """The program ``kist``."""
    import os  # noqa: PLC0415 - inside, so that importing this package costs nothing
    import sys  # noqa: PLC0415 - the same

    try:
        from kist.cli.dispatch import run  # noqa: PLC0415 - the same

        code = run(sys.argv[1:], os.environ)
    except KeyboardInterrupt:
        os._exit(130)  # 128 + SIGINT; while the modules were read, or the last line was printed
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141  # 128 + SIGPIPE, as a shell sees a program that a closed pipe ended
    # Tearing the interpreter down takes 1.5 ms and does nothing that the end of the process does not.
    os._exit(code)
