"""The words for a step in an image's history, after the manner of Docker's."""

import re
from collections.abc import Mapping, Sequence

from kist.build.plan import Checkout, CopyFiles, Document, Download
from kist.build.repository import shown
from kist.spec.json import encode

_WHITE_SPACE = re.compile(r"\s+")


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return _WHITE_SPACE.sub(" ", text).strip()


def run(argv: Sequence[str], arguments: Mapping[str, str], script: Document | None = None) -> str:
    """``RUN /bin/sh -c command``; the ARGs that the command saw come first, counted: ``RUN |1 a=b /bin/sh …``.

    A script is there with all its lines: they are what was run.
    """
    seen = "".join(f"{name}={value} " for name, value in arguments.items())
    text = f" <<{script.name}\n{script.text}{script.name}" if script else ""
    return f"RUN {f'|{len(arguments)} {seen}' if arguments else ''}{' '.join(argv)}{text}"


def assignments(keyword: str, pairs: Mapping[str, str]) -> str:
    """``ENV a=b c=d``."""
    return " ".join((keyword, *(f"{name}={value}" for name, value in pairs.items())))


def array(keyword: str, words: Sequence[str]) -> str:
    """``CMD ["a" "b"]``."""
    return f"{keyword} [{' '.join(encode(word).decode() for word in words)}]"


def copy(keyword: str, action: CopyFiles) -> str:
    """``COPY --chown=a:b source /destination``."""
    flags = (
        ("--from=", action.origin_name),
        ("--chown=", action.owner),
        ("--chmod=", str(action.mode or "")),
        *(("--exclude=", pattern) for pattern in action.excludes),
    )
    given = [name + value for name, value in flags if value]
    given += ["--parents"] * bool(action.parents) + ["--link"] * action.link
    slash = "/" if action.into_directory and action.destination != "/" else ""
    root = "/" if action.origin else ""
    below = action.parents or ("",) * len(action.sources)
    sources = (root + _source(*parts) for parts in zip(action.sources, below, strict=True))
    remotes = (_address(remote) for remote in action.remotes)
    documents = (f"<<{document.name}" for document in action.documents)
    return " ".join((keyword, *given, *sources, *remotes, *documents, action.destination + slash))


def _source(source: str, below: str) -> str:
    """A source as it was written, with the pivot of ``--parents`` where it stands before a path."""
    if not below:
        return source
    return below if source == "." else f"{source}/./{below}"


def _address(remote: Download | Checkout) -> str:
    """Where something was fetched, without a password."""
    if isinstance(remote, Download):
        return shown(remote.url)
    wanted = remote.repository
    directory = f":{wanted.directory}" if wanted.directory else ""
    return f"{shown(wanted.address)}#{wanted.ref}{directory}"
