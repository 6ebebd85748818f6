"""What a process is called, as far as that is to be seen."""

import os

import pytest

from kist.kernel import mounts, namespaces, process


def test_a_process_has_a_name_while_it_lives() -> None:
    own = os.pidfd_open(os.getpid())
    assert process.name_of(os.getpid(), own)
    os.close(own)
    child = os.fork()
    if not child:
        os._exit(0)
    held = os.pidfd_open(child)
    os.waitpid(child, 0)
    assert process.name_of(child, held) == ""
    os.close(held)


@pytest.mark.root("mounts a /proc of its own")
def test_where_proc_hides_others_they_have_no_name() -> None:
    """hidepid=1 of proc(5): who is somebody else's is there, and not to be read."""
    parent, held = os.getpid(), os.pidfd_open(os.getpid())
    child = os.fork()
    if not child:
        code = 1
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
            mounts.mount("proc", "/proc", "proc", data="hidepid=1")
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            code = 0 if process.name_of(parent, held) == "" else 2
        finally:
            os._exit(code)
    os.close(held)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
