"""How build and bootstrap show their progress: live on a terminal, plain lines in a pipe."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.progress.live import LiveProgress
    from kist.cli.progress.plain import PlainProgress
    from kist.cli.progress.quiet import QuietProgress
    from kist.cli.progress.rawjson import RawProgress

    Reporter = PlainProgress | QuietProgress | RawProgress | LiveProgress

KINDS = ("auto", "plain", "tty", "rawjson", "quiet")


def reporter(context: "Context", kind: str) -> "Reporter":
    """What shows the progress on standard error; ``auto`` is ``tty`` on a terminal and ``plain`` elsewhere."""
    import os  # noqa: PLC0415 - imported already; the package itself stays empty

    if kind == "quiet":
        from kist.cli.progress.quiet import QuietProgress  # noqa: PLC0415 - one of four is needed

        return QuietProgress(context)
    if kind == "rawjson":
        from kist.cli.progress.rawjson import RawProgress  # noqa: PLC0415 - one of four is needed

        return RawProgress(context)
    dumb = context.environment.get("TERM", "dumb") == "dumb"
    if kind == "tty" or (kind == "auto" and os.isatty(2) and not dumb):
        from kist.cli.progress.live import LiveProgress  # noqa: PLC0415 - rich

        return LiveProgress(context)
    from kist.cli.progress.plain import PlainProgress  # noqa: PLC0415 - one of four is needed

    return PlainProgress(context)
