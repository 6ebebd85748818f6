"""A Git repository: ``URL[#REF[:DIRECTORY]]`` or ``URL?ref=REF&subdir=DIRECTORY``, fetched by git where there is one.

What is fetched is a stranger's: git runs without anybody's configuration (no hooks, filters, rewritten addresses or
credential helpers), asks nobody anything, and speaks four protocols that lead to other machines, for submodules too.
"""

import base64
import errno
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from kist.engine.stop import Stop
from kist.errors import Corrupt, InvalidInput, NotFound, Unavailable, Unsupported, from_os_error
from kist.kernel import faults
from kist.store import directories

_WEB = re.compile(r"https?://[^?#]*\.git(?:[?#].*)?\Z")
_PREFIXES = ("git://", "git@", "ssh://", "github.com/")
_PROTOCOLS = "git:http:https:ssh"
_DEFAULT_REF = "HEAD"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_CHECKSUM = re.compile(r"[0-9a-f]{7,64}\Z")
_TAGS, _HEADS = "refs/tags/", "refs/heads/"
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_LONGEST = 900  # seconds, of one command
_LOOK_EVERY = 0.25  # seconds, whether it is wanted still
# What runs git: it ends with its whole group when the other end of its standard input is closed, as it also is when who
# started it is killed. A fetch would go on by itself, into a directory that somebody takes away meanwhile.
_HELD = """exec 3<&0
{ read -r word <&3; kill -s KILL -- -$$; } >/dev/null 2>&1 &
watch=$!
"$@" 3<&- </dev/null
code=$?
kill "$watch"
wait "$watch" 2>/dev/null
exit "$code" """
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "protocol.file.allow": "never",
}
_INHERITED = ("PATH", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "SSH_AUTH_SOCK")
_FULL = re.compile(r"no space left|disk quota exceeded|out of diskspace", re.IGNORECASE)
_NO_ROOM = 1 << 20  # bytes
_GONE = re.compile(r"couldn't find remote ref|not our ref|repository .*not found|access denied or repo", re.IGNORECASE)


class Repository(NamedTuple):
    """Where a repository is, and what of it is wanted.

    Attributes:
        ref: a branch, a tag, a full name of either, or a whole commit id.
        directory: what of its files.
        keep_git_dir: its ``.git`` too.
        checksum: what the commit's id must begin with; empty for any.
        submodules: those of others, too.
    """

    address: str
    ref: str = _DEFAULT_REF
    directory: str = ""
    keep_git_dir: bool | None = None
    checksum: str = ""
    submodules: bool = True


class Commit(NamedTuple):
    """What a name in a repository leads to: the commit's id, and the whole name, empty where it was named by its id."""

    id: str
    name: str = ""


def is_repository(url: str) -> bool:
    """Whether it leads to a repository, by Docker's rules: ``git@…``, ``git://…``, or ``.git`` at its end."""
    return url.startswith(_PREFIXES) or _WEB.match(url) is not None


def read_address(url: str) -> Repository:
    """Take the address of a repository apart.

    Raises:
        InvalidInput: git could take a part of it for an option, or for something to run; or it has unknown parameters.
    """
    address, _, fragment = url.partition("#")
    ref, _, directory = fragment.partition(":")
    address, _, query = address.partition("?")
    if address.startswith("github.com/"):
        address = f"https://{address}"
    found = Repository(address, ref, directory)
    if query:
        found = _with_query(found, query, url)
    if not address.isprintable() or not found.ref.isprintable() or "\0" in found.directory or " " in address:
        raise InvalidInput(f"invalid address of a repository: {url!r}", hint="write URL.git#REF:DIRECTORY")
    host = address.partition("@")[2] if address.startswith("git@") else urlsplit(address).netloc.rpartition("@")[2]
    if found.ref.startswith("-") or host.startswith("-") or not host:
        raise InvalidInput(f"invalid refspec or host in {shown(url)!r}", hint="neither begins with a hyphen")
    return found._replace(ref=found.ref or _DEFAULT_REF)


def _with_query(found: Repository, query: str, url: str) -> Repository:
    """``?ref=…&subdir=…``: what it says besides the fragment."""
    refs = [found.ref] if found.ref else []
    for name, values in parse_qs(query, keep_blank_values=True).items():
        value = values[-1]
        if len(values) > 1 or (not value and name not in {"keep-git-dir", "submodules"}):
            raise InvalidInput(f"the parameter {name!r} of {shown(url)} needs one value")
        if name in {"ref", "tag", "branch"}:
            above = {"ref": "", "tag": _TAGS, "branch": _HEADS}[name]
            refs.append(above + value.removeprefix(above))
        elif name == "subdir":
            if found.directory not in {"", value}:
                raise InvalidInput(f"subdir conflicts: {found.directory!r} and {value!r} in {shown(url)}")
            found = found._replace(directory=value)
        elif name in {"checksum", "commit"}:
            found = found._replace(checksum=checked_commit(value))
        elif name == "keep-git-dir":
            found = found._replace(keep_git_dir=_is_true(name, value))
        elif name == "submodules":
            found = found._replace(submodules=_is_true(name, value))
        else:
            raise InvalidInput(
                f"unexpected parameter {name!r} in {shown(url)}",
                hint="known are ref, branch, tag, subdir, commit, checksum, keep-git-dir and submodules",
            )
    if len(set(refs)) > 1:
        raise InvalidInput(f"ref conflicts: {refs[0]!r} and {refs[1]!r} in {shown(url)}")
    return found._replace(ref=refs[0] if refs else "")


def _is_true(name: str, value: str) -> bool:
    if value.lower() not in {"", "0", "1", "true", "false"}:
        raise InvalidInput(f"{name}={value}: expected true or false")
    return value.lower() not in {"0", "false"}


def checked_commit(text: str) -> str:
    """The start of a commit's id, or all of it.

    Raises:
        InvalidInput: it is none, or shorter than seven digits.
    """
    if not _CHECKSUM.match(text):
        raise InvalidInput(
            f"invalid checksum {text!r}", hint="a commit's id is 40 hexadecimal digits, or 7 of them at least"
        )
    return text


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


def resolve(wanted: Repository, directory: str, stop: Stop) -> Commit:
    """Which commit the repository has under the name that is wanted; a whole id is not asked about.

    Args:
        wanted: what is asked for.
        directory: any; git runs there.
        stop: when it is given, git ends.

    Args:
        url: the address.
        directory: empty.
        stop: ends git before its time.

    Raises:
        NotFound: there is no such repository, or nothing of this name in it.
        Unavailable: it cannot be asked.
        Unsupported: there is no git program.
        Corrupt: it is another commit than the one that must be.
    """
    if _COMMIT.match(wanted.ref):
        return _expected(Commit(wanted.ref), wanted)
    git, address = _git(wanted, directory, stop)
    names = [wanted.ref] if wanted.ref == _DEFAULT_REF or wanted.ref.startswith("refs/") else [
        _TAGS + wanted.ref, _HEADS + wanted.ref
    ]  # fmt: skip
    printed = git.run("ls-remote", "--quiet", "--", address, wanted.ref, f"{wanted.ref}^{{}}")
    told = {name: identity for identity, _, name in (line.partition("\t") for line in printed.splitlines())}
    for name in names:
        if name in told:
            return _expected(Commit(told.get(f"{name}^{{}}", told[name]), name), wanted)
    raise NotFound(f"error fetching {git.address}: couldn't find remote ref {wanted.ref}")


def _expected(commit: Commit, wanted: Repository) -> Commit:
    if not commit.id.startswith(wanted.checksum):
        raise Corrupt(
            f"{shown(wanted.address)}#{wanted.ref} is commit {commit.id}, and {wanted.checksum} is expected",
            hint="the branch or tag has moved: look at what has changed, and give the new checksum",
        )
    return commit


class CheckedOut(NamedTuple):
    """The directory of a commit's files that was asked for, and when it was committed (seconds since the epoch)."""

    directory: str
    committed: int


def check_out(wanted: Repository, directory: str, stop: Stop, commit: Commit | None = None) -> CheckedOut:
    """Fetch what is wanted into an empty directory, without its history.

    Args:
        wanted: what is asked for.
        directory: empty.
        stop: when it is given, git ends.
        commit: what it must be (``resolve``); without it, what is there now.

    Raises:
        InvalidInput: the directory cannot be right.
        NotFound: there is no such repository, or nothing of this name in it.
        Unavailable: it cannot be fetched, or is another commit by now.
        Unsupported: there is no git program.
        Corrupt: it is another commit than the one that must be.
    """
    git, address = _git(wanted, directory, stop)
    git.run("init", "--quiet")
    ref = (commit.name or commit.id) if commit else wanted.ref
    # Old servers give no part of a history, and some no commit that is not the newest of a branch.
    if not git.tries("fetch", "--quiet", "--depth=1", "--", address, ref):
        if not _COMMIT.match(ref):
            git.run("fetch", "--quiet", "--", address, ref)
        elif not git.tries("fetch", "--quiet", "--", address, ref):
            git.run("fetch", "--quiet", "--", address, *_EVERYTHING)
            git.run("update-ref", "FETCH_HEAD", ref)
    found = Commit(git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}").strip(), ref)
    if commit and found.id != commit.id:
        raise Unavailable(f"{git.address}#{wanted.ref} changed while it was fetched", hint="build again")
    _expected(found, wanted)
    faults.point("build fetch: fetched a commit")
    git.run("checkout", "--quiet", "--detach", found.id)
    git.run("remote", "add", "origin", "--", address)  # addresses of submodules may be relative to it
    if wanted.submodules and os.path.isfile(os.path.join(directory, ".gitmodules")):
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    faults.point("build fetch: checked a commit out")
    context = _inside(directory, wanted.directory, git.address)
    committed = int(git.run("show", "--no-patch", "--format=%ct", found.id).strip())
    if not wanted.keep_git_dir:
        _remove_git_dirs(directory)
    elif ref.startswith(_TAGS):
        git.run("update-ref", ref, "FETCH_HEAD")
    return CheckedOut(context, committed)


def _remove_git_dirs(directory: str) -> None:
    """Times of files are in there: no two copies are the same."""
    try:
        directories.remove_tree(os.path.join(directory, ".git"))
    except OSError as error:
        raise from_os_error(error, "remove") from error


def _git(wanted: Repository, directory: str, stop: Stop) -> tuple["_Git", str]:
    """The program, and the address that it is called with."""
    program = shutil.which("git")
    if program is None:
        raise Unsupported("a Git repository is fetched by the git program, which is not here", hint="install git")
    address, login = settled_login(wanted.address)
    return _Git(program, directory, address, login, stop), address


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
        self._settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._program = program
        self._directory = directory
        self._stop = stop
        self.address = address
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

    def run(self, *arguments: str) -> str:
        """Run one command; what it prints.

        Raises:
            NotFound: the server knows nothing of this name.
            Unavailable: the disk is full, or it failed in another way; with git's last words.
        """
        code, printed, said = self._run(arguments)
        if code:
            if self._is_full(said):
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise from_os_error(full, f"error fetching {self.address}")
            words = (said.strip().splitlines() or [f"git ended with {code}"])[-1]
            kind = NotFound if _GONE.search(said) else Unavailable
            raise kind(f"error fetching {self.address}: {words.replace('fatal: ', '')}")
        return printed

    def _is_full(self, said: str) -> bool:
        """Whether there was no room on the disk: git says so in several ways, and where it speaks HTTP in none."""
        found = os.statvfs(self._directory)
        return _FULL.search(said) is not None or found.f_bavail * found.f_frsize < _NO_ROOM

    def tries(self, *arguments: str) -> bool:
        """Whether one command succeeds."""
        return self._run(arguments)[0] == 0

    def _run(self, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        command = ["sh", "-c", _HELD, "sh", self._program, *self._settings, *arguments]
        try:
            with (
                _line() as (ours, theirs),
                subprocess.Popen(
                    command,
                    cwd=self._directory,
                    env=self._environment,
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                ) as process,
            ):
                theirs.close()
                faults.point("build fetch: runs git")
                try:
                    printed, said = self._wait(process)
                finally:
                    ours.close()
                return process.returncode, printed.decode("utf-8", "replace"), said.decode("utf-8", "replace")
        except OSError as error:
            raise from_os_error(error, "run git") from error

    def _wait(self, process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
        """What it has printed, and what it has to say, at its end."""
        deadline = time.monotonic() + _LONGEST
        while True:
            self._stop.check()
            try:
                return process.communicate(timeout=_LOOK_EVERY)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise Unavailable(f"error fetching {self.address}: it took more than {_LONGEST} s") from None


@contextmanager
def _line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A line that is closed at the end, if not before."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs
