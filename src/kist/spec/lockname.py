"""Where a build's lock lies: beside its Dockerfile. A leaf, for the command line's sake."""

NAME = "kist.lock"
_USUAL = ("Dockerfile", "dockerfile", "Containerfile")


def lock_path(dockerfile: str) -> str:
    """The path of a Dockerfile's lock, both in the context: ``kist.lock``, or ``NAME.kist.lock`` of another name."""
    above, slash, name = dockerfile.lstrip("/").rpartition("/")
    return above + slash + (NAME if name in _USUAL else f"{name}.{NAME}")
