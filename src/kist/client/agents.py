"""ssh agents that a build may use: connections to them, of which what is said is looked at; and agents for a key.

A command of a build may ask an agent what keys it has and have it sign, and nothing else: it is not to add keys, remove
them or lock it (draft-miller-ssh-agent, sections 4 and 5). BuildKit keeps to the same.
"""

import os
import select
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress

from kist.errors import InvalidInput, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.client.pump import Stream

_REQUEST_IDENTITIES, _SIGN_REQUEST = 11, 13
_ALLOWED = frozenset({_REQUEST_IDENTITIES, _SIGN_REQUEST})
_FAILURE = b"\0\0\0\1\5"
_LARGEST = 256 << 10
_READ = 64 << 10
_SECONDS = 30
# What an agent runs: the key, then its socket for us; it ends when our end of its input does, also by our death.
_SCRIPT = """ssh-add -q -- "$@" </dev/null >&2 && echo "$SSH_AUTH_SOCK" && cat >/dev/null
kill "$SSH_AGENT_PID" """
# An agent makes its socket in /tmp whatever TMPDIR says (it has a group of its own). Who starts it may be killed.
_STARTED = """agent=$1 place=$2; shift 2
"$agent" -a "$place/agent" "$@"
rm -rf -- "$place" """


class RequestFilter:
    """Cuts what a client says into messages, and tells apart what an agent is to hear and what is refused.

    A message has four bytes of length and one of its type; the answers go in the order of the requests, so what comes
    after one that was refused waits until those before it are answered.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> "list[tuple[bytes, bool]]":
        """The messages that are whole by now, each with whether the agent is to hear it.

        Raises:
            InvalidInput: it is no message of an agent's.
        """
        self._rest += data
        found = []
        while len(self._rest) >= 5:
            size = int.from_bytes(self._rest[:4], "big")
            if not 0 < size <= _LARGEST:
                raise InvalidInput(f"a request of {size} bytes to an ssh agent")
            if len(self._rest) < size + 4:
                break
            message, self._rest = self._rest[: size + 4], self._rest[size + 4 :]
            found.append((message, message[4] in _ALLOWED))
        return found


def relay(stream: "Stream", agent: socket.socket) -> None:
    """Carry requests and answers until either side has ended; closes the agent's end.

    One request at a time: the agent is asked the next one when it has answered the last.
    """
    requests = RequestFilter()
    with agent, suppress(InvalidInput, OSError):
        waiting: list[tuple[bytes, bool]] = []
        while True:
            while not waiting:
                data = stream.receive()
                if not data:
                    return
                waiting += requests.feed(data)
            message, allowed = waiting.pop(0)
            answer = _asked(agent, message, stream) if allowed else _FAILURE
            rest = memoryview(answer)
            while rest:
                rest = rest[stream.send(rest) :]


def _asked(agent: socket.socket, message: bytes, stream: "Stream") -> bytes:
    """The agent's answer to one request; it may take long (a key that has to be touched), so who asked may go.

    Raises:
        OSError: the agent, or who asked, has ended.
    """
    agent.sendall(message)
    answer = b""
    poll = select.poll()
    poll.register(agent, select.POLLIN)
    poll.register(stream.fileno(), 0)  # only its end is told: who asks may have said all it has to say
    while len(answer) < 4 or len(answer) < 4 + int.from_bytes(answer[:4], "big"):
        if any(fd == stream.fileno() for fd, _ in poll.poll()):
            raise ConnectionResetError
        data = agent.recv(_READ)
        if not data:
            raise ConnectionResetError
        answer += data
    return answer


class KeyAgent:
    """An agent of our own for private keys, in memory alone; it ends with this process at the latest.

    Attributes:
        path: of its socket.

    Raises:
        NotFound: there is no such key.
        Unavailable: there is no ssh-agent here.
        InvalidInput: it cannot use a key; its own words.
    """

    def __init__(self, name: str, keys: "Sequence[str]") -> None:
        for key in keys:
            if not os.path.isfile(key):
                raise NotFound(f"--ssh {name}: there is no key or socket {key}", hint="--ssh NAME=FILE names one")
        program = shutil.which("ssh-agent")
        if program is None:
            raise Unavailable(f"--ssh {name}: a key needs ssh-agent, which is not here",
                              hint="apt install openssh-client")  # fmt: skip
        ours, theirs = socket.socketpair()
        started = ["sh", "-c", _STARTED, "sh", program, tempfile.mkdtemp(prefix="kist-")]
        with theirs:
            self._line = ours
            self._process = subprocess.Popen(
                [*started, "sh", "-c", _SCRIPT, "sh", *(os.path.abspath(key) for key in keys)],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a passphrase cannot be asked for, and Ctrl-C is the build's
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
            )
        assert self._process.stdout is not None
        self.path = self._process.stdout.readline().decode().rstrip("\n")
        if not self.path:
            said = self._said()
            self.close()
            raise InvalidInput(
                f"--ssh {name}: the key cannot be used: {said}",
                hint="a key with a passphrase goes by an agent: ssh-add KEY, then --ssh default",
            )

    def _said(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read().decode(errors="replace").strip().replace("\n", "; ")

    def close(self) -> None:
        """End it."""
        self._line.close()
        with self._process:
            self._process.wait(_SECONDS)
