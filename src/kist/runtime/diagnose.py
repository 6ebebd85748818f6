"""Why a command could not be executed, in words: execve(2) has one errno for many causes."""

from __future__ import annotations

import errno
import os
import stat

NOT_FOUND = 127
NOT_EXECUTABLE = 126

_ELF = b"\x7fELF"
_PT_INTERP = 3
# e_machine of elf(5) for the architectures that images are made for.
_MACHINES = {
    3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64",
    258: "loong64",
}  # fmt: skip


def explain(command: str, path: str | None, error: int) -> tuple[int, str, str]:
    """What went wrong when ``command`` was executed.

    Args:
        command: as the user wrote it.
        path: the file that it was resolved to; None when no directory of PATH has it.
        error: the errno of execve.

    Returns:
        The exit code (127 for what is missing, 126 for what is there and cannot run), the cause, and a hint.
    """
    if path is None:
        return (
            NOT_FOUND,
            f'exec: "{command}": executable file not found in $PATH',
            "is the program installed in the image?",
        )
    try:
        status = os.stat(path)
    except OSError as failure:
        return _no_status(command, path, failure)
    if stat.S_ISDIR(status.st_mode):
        # Docker's older clients know by the last two words that the exit code is 126.
        return NOT_EXECUTABLE, f'exec: "{command}": is a directory: permission denied', "name a program in it"
    if not stat.S_ISREG(status.st_mode):
        return NOT_EXECUTABLE, f'exec: "{command}": permission denied: not a regular file', ""
    if error == errno.EACCES:
        return _denied(command, path, status.st_mode)
    return _content(command, path, error)


def _no_status(command: str, path: str, failure: OSError) -> tuple[int, str, str]:
    if os.path.islink(path):
        return NOT_FOUND, f'exec: "{command}": broken symbolic link to {os.readlink(path)}', ""
    if failure.errno == errno.EACCES:
        return NOT_EXECUTABLE, f'exec: "{command}": permission denied: a directory on the way cannot be entered', ""
    return NOT_FOUND, f'exec: "{command}": stat {path}: {os.strerror(failure.errno or 0).lower()}', ""


def _denied(command: str, path: str, mode: int) -> tuple[int, str, str]:
    if not mode & 0o111:
        hint = f"make it executable (chmod +x {path}), or name its interpreter: sh {path}"
        return NOT_EXECUTABLE, f'exec: "{command}": permission denied: the file is not executable', hint
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return NOT_EXECUTABLE, f'exec: "{command}": permission denied: its file system is mounted noexec', ""
    return NOT_EXECUTABLE, f'exec: "{command}": permission denied', "may the container's user read and execute it?"


def _content(command: str, path: str, error: int) -> tuple[int, str, str]:
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if head.startswith(b"#!"):
                return _script(command, head, error)
            if head.startswith(_ELF):
                return _binary(command, head, error)
    except OSError:
        head = b""
    if not head:
        return NOT_EXECUTABLE, f'exec: "{command}": exec format error: the file is empty or cannot be read', ""
    hint = "a script begins with a line such as #!/bin/sh"
    if error == errno.ENOEXEC:
        return NOT_EXECUTABLE, f'exec: "{command}": exec format error: neither a program nor a script with #!', hint
    return NOT_EXECUTABLE, f'exec: "{command}": {os.strerror(error).lower()}', ""


def _script(command: str, head: bytes, error: int) -> tuple[int, str, str]:
    line = head[2:].split(b"\n", 1)[0]
    interpreter = os.fsdecode(line.strip().split(None, 1)[0]) if line.strip() else ""
    if line.endswith(b"\r"):
        hint = "convert it to Unix line ends: sed -i 's/\\r$//' FILE"
        text = f'exec: "{command}": the script has Windows line ends (CRLF): there is no interpreter "{interpreter}\\r"'
        return NOT_FOUND, text, hint
    if not interpreter:
        return NOT_EXECUTABLE, f'exec: "{command}": exec format error: the #! line names no interpreter', ""
    if not os.path.exists(interpreter):
        hint = f"install {os.path.basename(interpreter)} in the image, or change the script's first line"
        return NOT_FOUND, f'exec: "{command}": the script\'s interpreter {interpreter} does not exist', hint
    return NOT_EXECUTABLE, f'exec: "{command}": interpreter {interpreter}: {os.strerror(error).lower()}', ""


def _binary(command: str, head: bytes, error: int) -> tuple[int, str, str]:
    order = "little" if head[5:6] == b"\x01" else "big"
    machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    if error == errno.ENOEXEC:
        name = _MACHINES.get(machine, f"machine {machine}")
        own = os.uname().machine
        text = f'exec: "{command}": exec format error: it is a program for {name}, this machine is {own}'
        return NOT_EXECUTABLE, text, "use an image for this architecture"
    loader = _loader(head)
    if loader and not os.path.exists(loader):
        hint = "the program is linked against another C library: use an image that has it, or a static build"
        return NOT_FOUND, f'exec: "{command}": its dynamic loader {loader} does not exist', hint
    return NOT_EXECUTABLE, f'exec: "{command}": {os.strerror(error).lower()}', ""


def _loader(head: bytes) -> str:
    """The path in the PT_INTERP segment of a 64-bit little-endian program (elf(5)), empty when there is none."""
    if head[4:6] != b"\x02\x01":
        return ""
    start = int.from_bytes(head[32:40], "little")
    size, count = int.from_bytes(head[54:56], "little"), int.from_bytes(head[56:58], "little")
    for number in range(count):
        entry = head[start + number * size : start + (number + 1) * size]
        if len(entry) == size and int.from_bytes(entry[:4], "little") == _PT_INTERP:
            offset, length = int.from_bytes(entry[8:16], "little"), int.from_bytes(entry[32:40], "little")
            return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return ""
