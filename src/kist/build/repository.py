"""A Git repository as a build context: ``URL[#REF[:DIRECTORY]]``, fetched by the git program where there is one.

What is fetched is a stranger's: git runs without anybody's configuration (no hooks, filters, rewritten addresses or
credential helpers), asks nobody anything, and speaks four protocols that lead to other machines, for submodules too.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import time
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from kist.engine.stop import Stop
from kist.errors import InvalidInput, NotFound, Unavailable, Unsupported, from_os_error
from kist.store import directories

_WEB = re.compile(r"https?://.*\.git(?:#.*)?\Z")
_PREFIXES = ("git://", "git@", "ssh://", "github.com/")
_PROTOCOLS = "git:http:https:ssh"
_DEFAULT_REF = "HEAD"
_LONGEST = 900  # seconds, of one command
_LOOK_EVERY = 0.25  # seconds, whether it is wanted still
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "protocol.file.allow": "never",
}
_INHERITED = ("PATH", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "SSH_AUTH_SOCK")
_GONE = re.compile(r"couldn't find remote ref|not our ref|repository .*not found|access denied or repo", re.IGNORECASE)


class Repository(NamedTuple):
    """Where a repository is, what of it is wanted, and the directory of that which is the context."""

    address: str
    ref: str = _DEFAULT_REF
    directory: str = ""


def is_repository(url: str) -> bool:
    """Whether it leads to a repository, by Docker's rules: ``git@…``, ``git://…``, or ``.git`` at its end."""
    return url.startswith(_PREFIXES) or _WEB.match(url) is not None


def read_address(url: str) -> Repository:
    """Take the address of a repository apart.

    Raises:
        InvalidInput: git could take a part of it for an option, or for something to run.
    """
    address, _, fragment = url.partition("#")
    ref, _, directory = fragment.partition(":")
    if address.startswith("github.com/"):
        address = f"https://{address}"
    if not address.isprintable() or not ref.isprintable() or "\0" in directory or " " in address:
        raise InvalidInput(f"invalid address of a repository: {url!r}", hint="write URL.git#REF:DIRECTORY")
    host = address.partition("@")[2] if address.startswith("git@") else urlsplit(address).netloc.rpartition("@")[2]
    if ref.startswith("-") or host.startswith("-") or not host:
        raise InvalidInput(f"invalid refspec or host in {shown(url)!r}", hint="neither begins with a hyphen")
    return Repository(address, ref or _DEFAULT_REF, directory)


def shown(url: str) -> str:
    """An address without the name and password in it."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def settled_login(address: str) -> tuple[str, dict[str, str]]:
    """An address without the login in it, and variables by which git shows that to this host alone.

    Whoever is on the machine sees what git is called with, and what that calls; variables are seen by its user.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return address, {}
    login, _, host = parts.netloc.rpartition("@")
    name, _, password = login.partition(":")
    encoded = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")
    return urlunsplit(parts._replace(netloc=host)), {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{host}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {encoded}",
    }


def check_out(url: str, directory: str, stop: Stop) -> str:
    """Fetch what the address names into an empty directory, without its history; the directory that is the context.

    Args:
        url: the address.
        directory: empty.
        stop: ends git before its time.

    Raises:
        InvalidInput: the address, or its directory, cannot be right.
        NotFound: there is no such repository, or nothing of this name in it.
        Unavailable: it cannot be fetched, or is not wanted any more.
        Unsupported: there is no git program.
    """
    wanted = read_address(url)
    program = shutil.which("git")
    if program is None:
        raise Unsupported("building from a Git repository needs the git program", hint="install git")
    address, login = settled_login(wanted.address)
    git = _Git(program, directory, address, login, stop)
    git.run("init", "--quiet")
    if not git.tries("fetch", "--quiet", "--depth=1", "--", address, wanted.ref):
        git.run("fetch", "--quiet", "--", address, wanted.ref)  # old servers give no part of a history
    git.run("checkout", "--quiet", "--detach", "FETCH_HEAD")
    if os.path.isfile(os.path.join(directory, ".gitmodules")):
        # Addresses of submodules may be relative to that of the whole.
        git.run("remote", "add", "origin", "--", address)
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    context = _inside(directory, wanted.directory, shown(url))
    try:
        # Times of files are in there: no two copies are the same.
        directories.remove_tree(os.path.join(directory, ".git"))
    except OSError as error:
        raise from_os_error(error, "remove") from error
    return context


def _inside(root: str, path: str, url: str) -> str:
    """A directory of the repository; links in it lead nowhere else."""
    real = os.path.realpath(os.path.join(root, path.lstrip("/")))
    if os.path.commonpath([os.path.realpath(root), real]) != os.path.realpath(root):
        raise InvalidInput(f"error setting git context, {path!r} not within git root of {url}")
    if not os.path.isdir(real):
        raise NotFound(f"error setting git context, not a directory: {path!r} in {url}")
    return real


class _Git:
    """The program, working in one directory, with further variables."""

    def __init__(self, program: str, directory: str, address: str, variables: dict[str, str], stop: Stop) -> None:
        self._stop = stop
        self._settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._program = program
        self._directory = directory
        self._address = address
        self._environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": os.path.dirname(directory),
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": os.devnull,
            "LC_ALL": "C",
            **variables,
        }

    def run(self, *arguments: str) -> None:
        """Run one command.

        Raises:
            NotFound: the server knows nothing of this name.
            Unavailable: it failed in another way; with git's last words.
        """
        code, said = self._run(arguments)
        if code:
            words = (said.strip().splitlines() or [f"git ended with {code}"])[-1]
            kind = NotFound if _GONE.search(said) else Unavailable
            raise kind(f"error fetching {self._address}: {words.replace('fatal: ', '')}")

    def tries(self, *arguments: str) -> bool:
        """Whether one command succeeds."""
        return self._run(arguments)[0] == 0

    def _run(self, arguments: tuple[str, ...]) -> tuple[int, str]:
        command = [self._program, *self._settings, *arguments]
        try:
            with subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process:
                try:
                    said = self._wait(process)
                except BaseException:
                    os.killpg(process.pid, signal.SIGKILL)  # and what it started
                    raise
                return process.returncode, said.decode("utf-8", "replace")
        except OSError as error:
            raise from_os_error(error, "run git") from error

    def _wait(self, process: "subprocess.Popen[bytes]") -> bytes:
        """What it has to say at its end."""
        deadline = time.monotonic() + _LONGEST
        while True:
            self._stop.check()
            try:
                return process.communicate(timeout=_LOOK_EVERY)[1]
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise Unavailable(f"error fetching {self._address}: it took more than {_LONGEST} s") from None
