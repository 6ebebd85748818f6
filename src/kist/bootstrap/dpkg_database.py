"""What dpkg remembers of packages that it has unpacked and not yet configured (pure; dpkg(1), deb-triggers(5)).

dpkg itself reads these files next, configures the packages, and writes its own status file in place of ours.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kist.bootstrap.unpack import Unpacked

ADMIN = "var/lib/dpkg"


class DatabaseFile(msgspec.Struct, frozen=True):
    """A file of the database; ``path`` is relative to the root."""

    path: str
    data: bytes
    mode: int = 0o644


def database(packages: Sequence[Unpacked]) -> Iterator[DatabaseFile]:
    """All files of the database."""
    yield DatabaseFile(f"{ADMIN}/info/format", b"1\n")
    for name in ("available", "diversions", "statoverride", "triggers/Unincorp"):
        yield DatabaseFile(f"{ADMIN}/{name}", b"")
    yield DatabaseFile(f"{ADMIN}/status", "\n".join(_stanza(package) for package in packages).encode())
    yield from _triggers(packages)
    for package in packages:
        yield from _info(package)


def instance_name(package: Unpacked) -> str:
    """The name of a package in the database; one that can be installed for several architectures bears its own."""
    name = package.fields["Package"]
    return f"{name}:{package.fields['Architecture']}" if package.fields.get("Multi-Arch") == "same" else name


def _stanza(package: Unpacked) -> str:
    lines = [f"Package: {package.fields['Package']}", "Status: install ok unpacked"]
    lines += [f"{name}: {value}" for name, value in package.fields.items() if name.lower() not in {"package", "status"}]
    present = [path for path in package.conffiles if path in package.hashes]
    if present:
        lines.append("Conffiles:\n" + "\n".join(f" /{path} {package.hashes[path]}" for path in present))
    return "\n".join(lines) + "\n"


def _info(package: Unpacked) -> Iterator[DatabaseFile]:
    base = f"{ADMIN}/info/{instance_name(package)}"
    paths = "".join(f"/{path or '.'}\n" for path in package.paths)
    yield DatabaseFile(f"{base}.list", paths.encode())
    for name, (mode, data) in package.control.items():
        if name != "control":
            yield DatabaseFile(f"{base}.{name}", data, mode)
    if "md5sums" not in package.control:
        conffiles = set(package.conffiles)
        sums = (f"{digest}  {path}\n" for path, digest in package.hashes.items() if path not in conffiles)
        yield DatabaseFile(f"{base}.md5sums", "".join(sums).encode())


def _triggers(packages: Sequence[Unpacked]) -> Iterator[DatabaseFile]:
    """Who waits for what: one file for all paths, and one for each trigger with a name of its own."""
    paths: list[str] = []
    named: dict[str, list[str]] = {}
    for package in packages:
        for trigger, waiter in _interests(package):
            if trigger.startswith("/"):
                paths.append(f"{trigger} {waiter}\n")
            else:
                named.setdefault(trigger, []).append(waiter + "\n")
    yield DatabaseFile(f"{ADMIN}/triggers/File", "".join(paths).encode())
    for trigger, waiters in sorted(named.items()):
        yield DatabaseFile(f"{ADMIN}/triggers/{trigger}", "".join(waiters).encode())


def _interests(package: Unpacked) -> Iterable[tuple[str, str]]:
    name = instance_name(package)
    for line in package.control.get("triggers", (0, b""))[1].decode().split("\n"):
        words = line.partition("#")[0].split()
        if len(words) == 2 and words[0] in {"interest", "interest-await"}:
            yield words[1], name
        elif len(words) == 2 and words[0] == "interest-noawait":
            yield words[1], f"{name}/noawait"
