"""Docker's contexts: named endpoints in ``~/.docker/contexts``, which its client and Kist's share.

A context is a directory of JSON, ``meta/DIGEST/meta.json``, where the digest is its name's SHA-256, and another one of
certificates, ``tls/DIGEST/docker/*.pem``. The current one is ``currentContext`` in ``config.json``. (The
formats are those of github.com/docker/cli, cli/context/store.)
"""

import os
from hashlib import sha256

from kist.client.endpoint import DEFAULT, Tls, read_config
from kist.errors import Conflict, InvalidInput, NotFound
from kist.spec.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DOCKER = "docker"
"""The kind of endpoint that there is."""
FILES = ("ca.pem", "cert.pem", "key.pem")
_MOST = 1 << 20
_MEND = "mend the file, or remove its directory"


class Stored:
    """One context, as it is on the disk.

    Attributes:
        name: its name.
        meta: the whole of ``meta.json``; what others have written there is kept.
        meta_directory, tls_directory: where it is.
        files: the names of the certificates that there are.
    """

    __slots__ = ("files", "meta", "meta_directory", "name", "tls_directory")

    def __init__(self, meta: "Mapping[str, Any]", meta_directory: str, tls_directory: str) -> None:
        self.name = str(meta.get("Name") or "")
        self.meta = meta
        self.meta_directory = meta_directory
        self.tls_directory = tls_directory
        place = f"{tls_directory}/{DOCKER}"
        self.files = tuple(sorted(os.listdir(place))) if os.path.isdir(place) else ()

    @property
    def description(self) -> str:
        """What somebody has written about it."""
        return str(_object(self.meta.get("Metadata")).get("Description") or "")

    @property
    def endpoint(self) -> "Mapping[str, Any]":
        """``Host`` and ``SkipTLSVerify``."""
        return _object(_object(self.meta.get("Endpoints")).get(DOCKER))

    @property
    def host(self) -> str:
        """Where the engine is; empty for where it is without a context."""
        return str(self.endpoint.get("Host") or "")

    @property
    def tls(self) -> "Tls | None":
        """What is shown there; None for none."""
        skip = bool(self.endpoint.get("SkipTLSVerify"))
        if not self.files and not skip:
            return None
        paths = [f"{self.tls_directory}/{DOCKER}/{name}" if name in self.files else "" for name in FILES]
        return Tls(*paths, verify=not skip)


class Store:
    """All contexts.

    Args:
        config: the directory of Docker's client configuration.
    """

    def __init__(self, config: str) -> None:
        self._config = config
        self._root = f"{config}/contexts"

    def names(self) -> "list[str]":
        """All names, sorted; not of those whose files cannot be read."""
        return sorted(each.name for each in self._all() if isinstance(each, Stored))

    def broken(self) -> "list[InvalidInput]":
        """Why each that is in none of the names cannot be read."""
        return [each for each in self._all() if isinstance(each, InvalidInput)]

    def get(self, name: str) -> Stored:
        """One of them.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: its file cannot be read.
        """
        if name != DEFAULT and _can_be(name) and os.path.isdir(self._meta(name)):
            return self._read(self._meta(name).rpartition("/")[2])
        raise NotFound(f'context "{name}" does not exist', hint=self._others())

    def put(self, name: str, meta: "Mapping[str, Any]", files: "Mapping[str, bytes] | None") -> None:
        """Write one, with these certificates and no others; None leaves those that it has.

        Raises:
            InvalidInput: it cannot have that name.
        """
        check_name(name)
        tls = self._tls(name)
        if files is not None:
            _remove(tls)
        if files:
            for directory in (f"{self._root}/tls", tls, f"{tls}/{DOCKER}"):  # the mode is that of the last one only
                os.makedirs(directory, mode=0o700, exist_ok=True)
            for file, content in files.items():
                _write(f"{tls}/{DOCKER}/{file}", content, 0o600)
        os.makedirs(self._meta(name), exist_ok=True)
        _write(f"{self._meta(name)}/meta.json", dumps({**meta, "Name": name}).encode(), 0o644)

    def create(self, name: str, meta: "Mapping[str, Any]", files: "Mapping[str, bytes]") -> None:
        """Write a new one.

        Raises:
            Conflict: there is one of that name.
            InvalidInput: it cannot have that name.
        """
        check_name(name)
        if os.path.isdir(self._meta(name)):
            raise Conflict(f'context "{name}" already exists', hint="update it, or remove it first")
        self.put(name, meta, files)

    def remove(self, name: str) -> None:
        """Take one away, with its certificates."""
        _remove(self._meta(name))
        _remove(self._tls(name))

    def files_of(self, name: str) -> "dict[str, bytes]":
        """Its certificates, by the names of their files."""
        stored = self.get(name)
        found = {}
        for file in stored.files:
            with open(f"{stored.tls_directory}/{DOCKER}/{file}", "rb") as opened:
                found[file] = opened.read(_MOST)
        return found

    def use(self, name: str) -> None:
        """Make one the current one; the default one by not naming any.

        Raises:
            NotFound: there is none of that name.
        """
        if name != DEFAULT:
            self.get(name)
        config = dict(read_config(self._config))
        config.pop("currentContext", None)
        if name != DEFAULT:
            config["currentContext"] = name
        os.makedirs(self._config, mode=0o700, exist_ok=True)
        import json  # noqa: PLC0415 - as Docker's client writes it, with tabs

        _write(f"{self._config}/config.json", json.dumps(config, indent="\t", ensure_ascii=False).encode(), 0o600)

    def _all(self) -> "Iterator[Stored | InvalidInput]":
        try:
            found = sorted(os.listdir(f"{self._root}/meta"))
        except OSError:
            return
        for digest in found:
            try:
                yield self._read(digest)
            except InvalidInput as error:
                yield error

    def _read(self, digest: str) -> Stored:
        directory = f"{self._root}/meta/{digest}"
        try:
            with open(f"{directory}/meta.json", "rb") as file:
                meta = loads(file.read(_MOST))
        except (OSError, ValueError, RecursionError) as error:
            said = (isinstance(error, OSError) and error.strerror) or error
            raise InvalidInput(f"{directory}/meta.json cannot be read: {said}", hint=_MEND) from None
        name = _object(meta).get("Name")
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"{directory}/meta.json does not say which context it is (Name)", hint=_MEND)
        return Stored(meta, directory, f"{self._root}/tls/{digest}")

    def _others(self) -> str:
        known = ", ".join([DEFAULT, *self.names()])
        return f"there is {known}; `kist context create` makes one"

    def _meta(self, name: str) -> str:
        return f"{self._root}/meta/{_digest(name)}"

    def _tls(self, name: str) -> str:
        return f"{self._root}/tls/{_digest(name)}"


def check_name(name: str) -> None:
    """Refuse what no context can be called.

    Raises:
        InvalidInput: and why.
    """
    if name == DEFAULT:
        raise InvalidInput('"default" is a reserved context name', hint="it is what holds without a context")
    if not _can_be(name):
        raise InvalidInput(
            f'context name "{name}" is invalid',
            hint="two or more letters, digits and _.+-, the first a letter or digit",
        )


def _object(found: "Any") -> "dict[str, Any]":
    return found if isinstance(found, dict) else {}


def _can_be(name: str) -> bool:
    """Docker's rule: ``[a-zA-Z0-9][a-zA-Z0-9_.+-]+``, without the 20 ms that ``re`` takes to be there."""
    plain = "".join(character for character in name if character not in "_.+-")
    return len(name) > 1 and name[0] not in "_.+-" and plain.isascii() and plain.isalnum()


def _remove(directory: str) -> None:
    import shutil  # noqa: PLC0415 - for those who change something

    shutil.rmtree(directory, ignore_errors=True)


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _write(path: str, content: bytes, mode: int) -> None:
    """Whole, or not at all."""
    real = os.path.realpath(path)
    aside = f"{real}.{os.getpid()}.new"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(aside, real)
