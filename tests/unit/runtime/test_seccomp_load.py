"""The default filter in the kernel: a forked child loads it and tries what it should and should not do."""

import ctypes
import errno
import mmap
import os
import platform
import socket
from collections.abc import Callable

import pytest

from kist.kernel import process
from kist.kernel import seccomp as kernel_seccomp
from kist.runtime import seccomp
from kist.runtime.seccomp.architectures import of_machine
from kist.spec.platform import Platform

MACHINE = Platform.of_machine(platform.machine()).architecture
if MACHINE not in {"amd64", "arm64"}:
    pytest.skip("the calls below are tried on amd64 and arm64 only", allow_module_level=True)
NUMBERS = of_machine(MACHINE)[0].numbers()
_libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int) -> int:
    """0, or the errno; with the C library's own wrappers out of the way."""
    ctypes.set_errno(0)
    if _libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) == -1:
        return ctypes.get_errno()
    return 0


def filtered(body: Callable[[], int], *, capabilities: frozenset[str] = frozenset()) -> int:
    """What ``body`` gives in a child under the filter."""
    program = seccomp.compile(seccomp.DEFAULT, architecture=MACHINE, capabilities=capabilities)
    pid = os.fork()
    if pid == 0:
        try:
            process.set_no_new_privileges()
            kernel_seccomp.load(kernel_seccomp.assemble(program))
            os._exit(body())
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(254)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("unshare", (0x10000000,), errno.EPERM),
        ("mount", (0, 0, 0, 0, 0), errno.EPERM),
        ("keyctl", (0,), errno.EPERM),
        ("add_key", (0,), errno.EPERM),
        ("setns", (-1, 0), errno.EPERM),
        ("clone", (0x10000011, 0, 0, 0, 0), errno.EPERM),
        ("clone3", (0, 0), errno.ENOSYS),
        ("io_uring_setup", (1, 0), errno.EPERM),
        ("bpf", (0, 0, 0), errno.EPERM),
        ("pivot_root", (0, 0), errno.EPERM),
        ("socket", (38, 5, 0), errno.EPERM),
        ("socket", (40, 1, 0), errno.EPERM),
        ("socket", ((1 << 32) + 38, 5, 0), errno.EPERM),
        ("socket", (1, 1, 0), 0),
        ("personality", (0x40000,), errno.EPERM),
        ("personality", (0xFFFFFFFF,), 0),
        ("getpid", (), 0),
        ("getppid", (), 0),
        ("openat2", (0, 0, 0, 0), errno.EINVAL),  # let through: the kernel's own answer
    ],
)
def test_a_call_is_refused_or_let_through(name, arguments, expected):
    assert filtered(lambda: call(NUMBERS[name], *arguments)) == expected


@pytest.mark.parametrize("number", [1000, 5000, 0x40000000 + 39])
def test_a_call_that_nobody_knows_does_not_exist(number):
    assert filtered(lambda: call(number)) == errno.ENOSYS


def test_the_administrator_of_the_container_reaches_the_kernel():
    assert filtered(lambda: call(NUMBERS["setns"], -1, 0), capabilities=frozenset({"CAP_SYS_ADMIN"})) == errno.EBADF


def test_ordinary_work_goes_on(tmp_path):
    def body() -> int:
        with open(tmp_path / "file", "w", encoding="ascii") as file:
            file.write("kist")
        os.rename(tmp_path / "file", tmp_path / "renamed")
        ours, theirs = socket.socketpair()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/true", ["true"])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert filtered(body) == 0
    assert (tmp_path / "renamed").read_text() == "kist"


def _int80(number: int, argument: int) -> int:
    """A 32-bit call from 64-bit code: push rbx; mov eax,edi; mov ebx,esi; int 0x80; pop rbx; ret."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53 89f8 89f3 cd80 5b c3"))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)
    return int(function(ctypes.addressof(ctypes.c_char.from_buffer(page)))(number, argument))


@pytest.mark.skipif(MACHINE != "amd64", reason="32-bit x86 programs run on amd64")
def test_the_32_bit_door_is_guarded_too():
    numbers = of_machine("386")[0].numbers()
    # A kernel without 32-bit programs ends the one that tries.
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _int80(numbers["getpid"], 0) > 0 else 1)
    if os.waitpid(pid, 0)[1] != 0:
        pytest.skip("this kernel runs no 32-bit programs")
    assert filtered(lambda: int(_int80(numbers["getpid"], 0) <= 0)) == 0
    assert filtered(lambda: -_int80(numbers["unshare"], 0x10000000)) == errno.EPERM
    assert filtered(lambda: -_int80(numbers["clone3"], 0)) == errno.ENOSYS


def test_a_program_that_the_kernel_does_not_take_is_an_error():
    with pytest.raises(OSError, match="prctl") as caught:
        kernel_seccomp.load(kernel_seccomp.assemble(b"\xff" * 8))
    assert caught.value.errno in {errno.EINVAL, errno.EACCES}
