"""Whose a file is that a container makes: the table of the guide, made by looking; and who ``--as-me`` is."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import BUSYBOX, Cli
from kist.cli.caller import caller
from ordinary import COUNT, FIRST, GID, UID
from rootless_user import User

pytestmark = pytest.mark.root("becomes everybody in turn")

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "file-owners.md"
BEGIN, END = "<!-- file owners: written by tests/e2e/test_file_owners.py -->\n", "<!-- end of file owners -->\n"
HEAD = ("engine", "", "container's root", "uid 1000 in the container", "`--as-me`")
# How the engine is run, and the options of all containers of the row.
ROWS = (
    ("root's", "root", ()),
    ("root's", "root", ("--userns", "auto")),
    ("root's", "root", ("--userns", "keep-id")),
    ("an ordinary user's, with a range", "range", ()),
    ("an ordinary user's, with a range", "range", ("--userns", "keep-id")),
    ("an ordinary user's, with one id", "alone", ()),
    ("an ordinary user's, with one id", "alone", ("--userns", "keep-id")),
)
WHO = (("--user", "0"), ("--user", "1000"), ("--as-me",))
NOBODY = "cannot be"
NO_SUCH_ID = "has no id in this engine's user namespace"
QUIET = ("--network", "none")


@dataclass(frozen=True)
class Machine:
    """One way to have an engine: a command line, and a directory of the user's that everybody may write to."""

    run: Callable[..., tuple[int, str, str]]
    box: Path


@pytest.fixture
def machines(
    cli: Cli, users: Callable[[str], User], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Machine]:
    def get(kind: str) -> Machine:
        if kind == "root":
            monkeypatch.setenv("SUDO_UID", str(UID))
            monkeypatch.setenv("SUDO_GID", str(GID))
            monkeypatch.setenv("SUDO_USER", "ada")
            return Machine(_texts(cli), _box(tmp_path / "box"))
        user = users(kind)
        return Machine(_texts(user), _box(user.who.home / "owned"))

    return get


def _texts(command: Cli | User) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        done = command("run", "--rm", *QUIET, *words)
        out, err = (text if isinstance(text, str) else text.decode() for text in (done.stdout, done.stderr))
        return done.returncode, out, err

    return run


def _box(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    os.chown(path, UID, GID)
    path.chmod(0o777)
    return path


def owner(machine: Machine, options: Sequence[str], who: Sequence[str]) -> str:
    """Who has, on the machine, the file that such a container makes; ``NOBODY`` where none can make it."""
    made = machine.box / "made"
    code, _, err = machine.run(*options, *who, "-v", f"{machine.box}:/box", BUSYBOX, "touch", "/box/made")
    if NO_SUCH_ID in err:
        return NOBODY
    assert code == 0, (options, who, err)
    status = made.stat()
    made.unlink()
    # Group and user tell the same, or the table would need more words.
    user, group = called(status.st_uid, UID), called(status.st_gid, GID)
    assert user == group or who == ("--user", "1000"), (user, group)
    return user


def called(number: int, mine: int) -> str:
    """An id of the machine in the words of the guide."""
    if number in {0, mine}:
        return "root" if number == 0 else "**you**"
    if FIRST <= number < FIRST + COUNT:
        return f"id {number - FIRST} of your range"
    return f"uid {number}"


def table(machines: Callable[[str], Machine]) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n"
    before = ""
    for engine, kind, options in ROWS:
        cells = [owner(machines(kind), options, who) for who in WHO]
        option = f"`{' '.join(options)}`" if options else ""
        yield f"| {' | '.join((engine if engine != before else '', option, *cells))} |\n"
        before = engine


def test_the_guide_tells_whose_the_files_are(machines: Callable[[str], Machine]) -> None:
    measured = "".join(table(machines))
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("KIST_WRITE_FILE_OWNERS"):
        PAGE.write_text(f"{before}{BEGIN}{measured}{END}{after}", encoding="utf-8")
    else:
        assert written == measured, "KIST_WRITE_FILE_OWNERS=1 has this test write the page"


# who --as-me is

TELL = 'id -u; id -g; whoami; echo "$HOME"; cd ~ && pwd; touch ~/mine && stat -c %u ~/mine; stat -c %U ~'
KINDS = pytest.mark.parametrize("kind", ["root", "range", "alone"])


def _home(kind: str, users: Callable[[str], User]) -> tuple[str, str]:
    return ("ada", "/home/ada") if kind == "root" else ("kist-ordinary", str(users(kind).who.home))


@KINDS
@pytest.mark.parametrize("options", [(), ("--read-only", "--tmpfs", "/tmp"), ("--userns", "keep-id")])
def test_the_caller_has_a_name_and_a_home(
    kind: str, options: tuple[str, ...], machines: Callable[[str], Machine], users: Callable[[str], User]
) -> None:
    name, home = _home(kind, users)
    script = TELL if "--read-only" not in options else TELL.partition("; touch")[0]
    code, out, err = machines(kind).run("--as-me", *options, BUSYBOX, "sh", "-c", script)
    assert code == 0, err
    told = [str(UID), str(GID), name, home, home, str(UID), name]
    assert out.split() == (told if "--read-only" not in options else told[:5])


@KINDS
def test_a_mount_below_the_home_leaves_the_home_the_callers(
    kind: str, machines: Callable[[str], Machine], users: Callable[[str], User]
) -> None:
    _, home = _home(kind, users)
    machine = machines(kind)
    code, out, err = machine.run(
        "--as-me", "-v", f"{machine.box}:{home}/box", BUSYBOX, "sh", "-c", "touch ~/mine ~/box/ours && stat -c %u ~"
    )
    assert (code, out) == (0, f"{UID}\n"), err
    assert (machine.box / "ours").stat().st_uid == UID


@pytest.fixture
def bare(cli: Cli, tmp_path: Path) -> Iterator[str]:
    """An image that knows no users."""
    name = "bare:test"
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN rm -r /etc/passwd /etc/group /home\n", encoding="ascii")
    cli.good("build", "-q", "-t", name, str(tmp_path))
    yield name
    cli.good("rmi", name)


def test_an_image_without_users_gets_the_caller(bare: str, machines: Callable[[str], Machine]) -> None:
    code, out, err = machines("root").run("--as-me", bare, "sh", "-c", f"{TELL}; cat /etc/passwd /etc/group")
    assert code == 0, err
    assert out.split("\n") == [
        str(UID), str(GID), "ada", "/home/ada", "/home/ada", str(UID), "ada",
        f"ada:x:{UID}:{GID}::/home/ada:/bin/sh", f"ada:x:{GID}:", "",
    ]  # fmt: skip


def test_a_user_of_the_image_with_the_same_id_stays(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"SUDO_UID": "1000", "SUDO_GID": "1000", "SUDO_USER": "ada"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    me = caller(words)  # the machine may have a user of this id
    script = "whoami; id -u user; grep -c 1000: /etc/passwd; cd ~; pwd"
    name = cli.good("run", "-d", "--as-me", *QUIET, BUSYBOX, "sh", "-c", script)
    try:
        cli.good("wait", name)
        cli.good("start", name)  # what was written is there already, and is not written again
        cli.good("wait", name)
        assert cli.good("logs", name).split() == [me["name"], "1000", "2", me["home"]] * 2
    finally:
        cli.good("rm", name)
