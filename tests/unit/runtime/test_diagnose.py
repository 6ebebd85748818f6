"""Each cause of a failed execve is named, with Docker's exit codes."""

import errno
import os
import socket
import struct
from pathlib import Path

import pytest

from kist.runtime import diagnose


def elf(machine: int = 62, *, loader: str = "", bits: int = 2, order: int = 1) -> bytes:
    """The head of a program."""
    text = loader.encode() + b"\0"
    head = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH" if order == 1 else ">HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    other = struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 3, 0, 64 + 112, 0, 0, len(text), len(text), 1)
    return head + other + segment + text


@pytest.mark.parametrize(
    ("content", "mode", "error", "code", "words", "hint"),
    [
        (b"#!/bin/sh\n", 0o644, errno.EACCES, 126, "permission denied: the file is not executable", "chmod +x"),
        (b"#!/bin/sh\n", 0o755, errno.EACCES, 126, "permission denied", "read and execute"),
        (b"", 0o755, errno.ENOEXEC, 126, "the file is empty", ""),
        (b"echo hi\n", 0o755, errno.ENOEXEC, 126, "neither a program nor a script", "#!/bin/sh"),
        (b"echo hi\n", 0o755, errno.E2BIG, 126, "argument list too long", ""),
        (b"#!/bin/sh\r\n", 0o755, errno.ENOENT, 127, '(CRLF): there is no interpreter "/bin/sh\\r"', "sed"),
        (b"#!/no/such/perl -w\n", 0o755, errno.ENOENT, 127, "interpreter /no/such/perl does not exist", "install perl"),
        (b"#!\n", 0o755, errno.ENOEXEC, 126, "the #! line names no interpreter", ""),
        (b"#!", 0o755, errno.ENOEXEC, 126, "the #! line names no interpreter", ""),
        (b"#!/bin/sh\n", 0o755, errno.E2BIG, 126, "interpreter /bin/sh: argument list too long", ""),
        (b"#!/etc/passwd\n", 0o755, errno.ENOEXEC, 126, "interpreter /etc/passwd: exec format error", ""),
        (elf(183), 0o755, errno.ENOEXEC, 126, "it is a program for arm64, this machine is", "architecture"),
        (elf(4242), 0o755, errno.ENOEXEC, 126, "it is a program for machine 4242", "architecture"),
        (elf(22, order=2), 0o755, errno.ENOEXEC, 126, "it is a program for s390x", ""),
        (elf(loader="/lib/ld-none.so"), 0o755, errno.ENOENT, 127, "loader /lib/ld-none.so does not exist", "C library"),
        (elf(loader="/bin/sh"), 0o755, errno.ENOMEM, 126, "cannot allocate memory", ""),
        (elf(bits=1), 0o755, errno.ENOENT, 126, "no such file or directory", ""),
        (b"\x7fELF", 0o755, errno.ENOEXEC, 126, "it is a program for machine 0", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(
    tmp_path: Path, content: bytes, mode: int, error: int, code: int, words: str, hint: str
) -> None:
    path = tmp_path / "program"
    path.write_bytes(content)
    path.chmod(mode)
    found = diagnose.explain("program", str(path), error)
    assert found[0] == code
    assert found[1].startswith('exec: "program": ')
    assert words in found[1]
    assert hint in found[2]


def test_what_no_directory_of_the_path_has() -> None:
    code, message, hint = diagnose.explain("nosuch", None, errno.ENOENT)
    assert (code, message) == (127, 'exec: "nosuch": executable file not found in $PATH')
    assert hint


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("/no/such/target")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        table = {
            "broken": (127, "broken symbolic link to /no/such/target"),
            "missing": (127, "no such file or directory"),
            "file/below": (127, "not a directory"),
            "fifo": (126, "not a regular file"),
            "socket": (126, "not a regular file"),
            ".": (126, "is a directory"),
        }
        for name, (code, words) in table.items():
            found = diagnose.explain(name, f"{tmp_path}/{name}", errno.EACCES)
            assert found[0] == code, name
            assert words in found[1], name
