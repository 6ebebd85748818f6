"""Golden builds: a Dockerfile beside what comes of it, in the text files of ``tests/e2e/golden``.

A file has cases, each after a line ``=== NAME``; a case has sections, each after a line ``--- WORD``:

- ``Dockerfile`` or ``Dockerfile NAME``: the text; ``$BUSYBOX`` in it is the small image.
- ``files``: the context, one file on a line: ``path MODE "text"``, ``path/ MODE``, ``path -> target``; 0644 and 0755
  (of a directory) need not be said.
- ``options``: fields of ``BuildOptions`` as JSON.
- ``tree`` or ``tree PATH``: what is in the image, or below a path of it, written in the same way, with ``UID:GID``
  behind the mode where they are not 0:0. Directories that hold something and are usual ones are not listed.
- ``config``: fields of the image's container config, one on a line: ``field: JSON``.
- ``output``: what commands print.
- ``warnings``, ``error``: what is told, each line a part of it; without either, nothing may be.
- ``needs ids``: other users than root are in it.
"""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"^--- (\w+) ?(.*)\n", re.MULTILINE)
_LINE = re.compile(r'(?P<path>\S+)(?: (?P<mode>0\d{3,4}))?(?: (?P<owner>\d+:\d+))?(?: (?P<rest>-> .*|".*"|\|))?\Z')
_SECTIONS = {"Dockerfile", "files", "options", "tree", "config", "output", "warnings", "error", "needs"}


@dataclass(frozen=True)
class Case:
    """One case: its name, and its sections by their words, each with what is behind the word and its text."""

    name: str
    sections: dict[str, tuple[str, str]]

    def text(self, section: str) -> str:
        return self.sections.get(section, ("", ""))[1]

    def lines(self, section: str) -> list[str]:
        return [line for line in self.text(section).splitlines() if line]

    def options(self) -> dict[str, Any]:
        return dict(json.loads(self.text("options") or "{}"))


def cases(directory: Path) -> Iterator[Case]:
    """All cases of a directory's files."""
    for file in sorted(directory.glob("*.txt")):
        _, *texts = re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for text in texts:
            name, _, body = text.partition("\n")
            start, *parts = _SECTION.split(body)
            assert not start.strip(), f"{file.name}: {name}: text before the first section"
            found = {
                word: (behind, part.rstrip("\n") + "\n") for word, behind, part in zip(*[iter(parts)] * 3, strict=True)
            }
            assert found.keys() <= _SECTIONS, f"{file.name}: {name}: {found.keys() - _SECTIONS}"
            yield Case(f"{file.stem}: {name}", found)


def make(directory: Path, lines: list[str]) -> None:
    """The files of a context."""
    for line in lines:
        match = _LINE.match(line)
        assert match is not None, line
        path, mode, rest = directory / match["path"], match["mode"], match["rest"] or '""'
        path.parent.mkdir(parents=True, exist_ok=True)
        if rest.startswith("-> "):
            path.symlink_to(rest[3:])
        elif match["path"].endswith("/"):
            path.mkdir(exist_ok=True)
            path.chmod(int(mode or "755", 8))
        elif rest == "|":
            os.mkfifo(path)
            path.chmod(int(mode or "644", 8))
        else:
            path.write_text(json.loads(rest), encoding="utf-8")
            path.chmod(int(mode or "644", 8))


def listing(archive: bytes, below: str) -> list[str]:
    """What is in an image that was saved, below a path of it, as a case has it."""
    files = _merged(archive)
    top = f"{below.strip('/')}/".lstrip("/")
    shown = sorted(name for name in files if name.startswith(top))
    return [
        _line(*files[name], name.removeprefix(top))
        for name in shown
        if not (_is_usual(files[name][0]) and any(other.startswith(f"{name}/") for other in shown))
    ]


File = tuple[tarfile.TarInfo, bytes]


def _merged(archive: bytes) -> dict[str, File]:
    """The files of all layers, one over the other, by their paths."""
    files: dict[str, File] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
        (manifest,) = json.loads(_read(saved, "manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(_read(saved, layer))) as tar:
                found = {member.name.strip("/"): (member, _read(tar, member)) for member in tar}
            for name in found:
                above, _, last = name.rpartition("/")
                if last.startswith(".wh."):
                    gone = f"{above}/{last[4:]}".lstrip("/")
                    files = {path: file for path, file in files.items() if not f"{path}/".startswith(f"{gone}/")}
            files |= {name: file for name, file in found.items() if not name.rpartition("/")[2].startswith(".wh.")}
    return files


def _read(tar: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if isinstance(member, str) or member.isreg() or member.islnk() else None
    return file.read() if file else b""


def _is_usual(member: tarfile.TarInfo) -> bool:
    return member.isdir() and (member.mode, member.uid, member.gid) == (0o755, 0, 0)


def _line(member: tarfile.TarInfo, content: bytes, name: str) -> str:
    if member.issym():
        return f"{name} -> {member.linkname}"
    parts = [name + "/" * member.isdir()]
    if member.mode != (0o755 if member.isdir() else 0o644):
        parts.append(f"{member.mode:04o}")
    if (member.uid, member.gid) != (0, 0):
        parts.append(f"{member.uid}:{member.gid}")
    if member.isfifo():
        parts.append("|")
    elif not member.isdir():
        parts.append(json.dumps(content.decode(), ensure_ascii=False))
    return " ".join(parts)
