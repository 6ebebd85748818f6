"""Who is at the other end of a socket."""

import os
import socket

from kist.engine.policy import peers


def test_a_unix_socket_tells_who_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peers.look(ours)
    assert found == (os.getpid(), os.geteuid(), os.getegid(), tuple(os.getgroups()))


def test_other_sockets_tell_nobody() -> None:
    with socket.socket(socket.AF_INET) as other:
        assert (peers.uid_of(other), peers.look(other)) == (-1, None)
    assert (peers.uid_of(None), peers.look(None)) == (-1, None)
