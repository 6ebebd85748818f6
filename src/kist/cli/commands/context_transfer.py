"""``kist context export`` and ``kist context import``: a context as a tar, with its certificates."""

import io
import os
import sys
import tarfile
import zipfile

from kist.cli.option import Command
from kist.client.contexts import DOCKER, Store
from kist.client.endpoint import DEFAULT
from kist.errors import Conflict, InvalidInput
from kist.spec.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_META = "meta.json"
_TLS = f"tls/{DOCKER}/"
_MOST = 10 << 20


def export(context: "Context", arguments: "Arguments") -> int:
    """Write a context to a file that is not there yet, or to standard output."""
    name, *rest = arguments.operands
    if name == DEFAULT:
        raise InvalidInput('the context "default" is not stored, and cannot be exported')
    target = rest[0] if rest else f"{name}.dockercontext"
    store = Store(context.config)
    data = _packed(dict(store.get(name).meta), store.files_of(name))
    if target == "-":
        if os.isatty(1):
            raise InvalidInput("a context is not written to a terminal", hint="name a file, or redirect the output")
        context.write(data)
        return 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{target} is there already", hint="name another file, or remove it") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    context.note(f'Written file "{target}"')
    return 0


def bring(context: "Context", arguments: "Arguments") -> int:
    """Make a context of what was exported, a tar or a zip."""
    name, source = arguments.operands
    if source == "-":
        data = sys.stdin.buffer.read(_MOST + 1)
    else:
        with open(source, "rb") as file:
            data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise InvalidInput(f"{source} is no context: it has more than {_MOST >> 20} MiB")
    meta, files = _unpacked(source, data)
    Store(context.config).create(name, meta, files)
    context.say(name)
    context.note(f'Successfully imported context "{name}"')
    return 0


def _packed(meta: "dict[str, Any]", files: "dict[str, bytes]") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, _META, dumps(meta).encode(), 0o644)
        for directory in ("tls", f"tls/{DOCKER}") if files else ():
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for name, content in files.items():
            _add(archive, _TLS + name, content, 0o600)
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _unpacked(source: str, data: bytes) -> "tuple[dict[str, Any], dict[str, bytes]]":
    meta: Any = None
    files: dict[str, bytes] = {}
    try:
        for name, content in _members(data):
            file = name.removeprefix(_TLS)
            if name == _META:
                meta = loads(content)
            elif name.startswith(_TLS) and file not in {"", ".", ".."} and "/" not in file:
                files[file] = content
            else:
                raise InvalidInput(f"{source} is no context: there is {name!r} in it")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise InvalidInput(f"{source} is no context: {error}", hint="it is what `context export` writes") from None
    if not isinstance(meta, dict) or not isinstance(meta.get("Endpoints"), dict):
        raise InvalidInput(f"{source} is no context: it has no {_META} with endpoints")
    return meta, files


def _members(data: bytes) -> "Iterator[tuple[str, bytes]]":
    """Names and contents of the files in a tar or a zip, none of which may be larger than all of it."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.file_size > _MOST:
                    raise InvalidInput(f"{info.filename!r} is too large to be of a context")
                if not info.is_dir():
                    yield info.filename, archive.read(info)
        return
    # Docker's client leaves the last block half-full, and writes no end.
    with tarfile.open(fileobj=io.BytesIO(data + bytes(-len(data) % 512 + 1024)), mode="r:") as tar:
        for entry in tar:
            found = tar.extractfile(entry) if entry.isreg() else None
            if found is not None:
                yield entry.name, found.read()
            elif not entry.isdir():
                raise InvalidInput(f"{entry.name!r} is no file")


COMMAND = Command(
    "context export",
    export,
    "CONTEXT [FILE|-]",
    least=1,
    most=2,
    about="The private key is in it. The file is CONTEXT.dockercontext where none is named.",
)
IMPORT = Command("context import", bring, "CONTEXT FILE|-", least=2, most=2)
