"""``top``: a container's processes as ps(1) shows them on the host; the usual columns are made here, others by ps."""

import grp
import pwd
import re
import subprocess
import time
from collections.abc import Callable, Sequence

from kist.errors import InvalidInput, Unavailable
from kist.kernel.processes import Process, look, total_memory

Table = tuple[list[str], list[list[str]]]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _started(process: Process) -> str:
    now, then = time.localtime(), time.localtime(process.started)
    if process.age < 24 * 3600 and then.tm_mday == now.tm_mday:
        return time.strftime("%H:%M", then)
    return time.strftime("%b%d" if then.tm_year == now.tm_year else "%Y", then)


def clock(seconds: float) -> str:
    """``01:02:03``, after a day ``1-01:02:03``, as ps shows CPU time."""
    days, rest = divmod(int(seconds), 24 * 3600)
    return f"{f'{days}-' if days else ''}{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def _elapsed(process: Process) -> str:
    text = clock(process.age)
    return text.removeprefix("00:") if process.age < 3600 else text


def _minutes(process: Process) -> str:
    return f"{int(process.cpu) // 60}:{int(process.cpu) % 60:02}"


def _percent(process: Process) -> float:
    return 100 * process.cpu / process.age if process.age > 0 else 0.0


_COMMAND: Callable[[Process], str] = lambda p: p.command  # noqa: E731 - one of a table
# word of -o: (title, what it shows)
COLUMNS: dict[str, tuple[str, Callable[[Process], str]]] = {
    "pid": ("PID", lambda p: str(p.pid)),
    "ppid": ("PPID", lambda p: str(p.ppid)),
    "pgid": ("PGID", lambda p: str(p.pgid)),
    "pgrp": ("PGRP", lambda p: str(p.pgid)),
    "sid": ("SID", lambda p: str(p.sid)),
    "sess": ("SESS", lambda p: str(p.sid)),
    "uid": ("UID", lambda p: str(p.uid)),
    "euid": ("EUID", lambda p: str(p.uid)),
    "user": ("USER", lambda p: _user(p.uid)),
    "euser": ("EUSER", lambda p: _user(p.uid)),
    "uname": ("USER", lambda p: _user(p.uid)),
    "gid": ("GID", lambda p: str(p.gid)),
    "group": ("GROUP", lambda p: _group(p.gid)),
    "comm": ("COMMAND", lambda p: p.name),
    "ucmd": ("CMD", lambda p: p.name),
    "cmd": ("CMD", _COMMAND),
    "args": ("COMMAND", _COMMAND),
    "command": ("COMMAND", _COMMAND),
    "c": ("C", lambda p: str(int(_percent(p)))),
    "pcpu": ("%CPU", lambda p: f"{_percent(p):.1f}"),
    "%cpu": ("%CPU", lambda p: f"{_percent(p):.1f}"),
    "pmem": ("%MEM", lambda p: f"{100 * p.resident / total_memory():.1f}"),
    "%mem": ("%MEM", lambda p: f"{100 * p.resident / total_memory():.1f}"),
    "vsz": ("VSZ", lambda p: str(p.virtual >> 10)),
    "rss": ("RSS", lambda p: str(p.resident >> 10)),
    "tty": ("TT", lambda p: p.terminal_name),
    "tname": ("TTY", lambda p: p.terminal_name),
    "stat": ("STAT", lambda p: p.state),
    "s": ("S", lambda p: p.state[:1]),
    "state": ("S", lambda p: p.state[:1]),
    "stime": ("STIME", _started),
    "start_time": ("START", _started),
    "time": ("TIME", lambda p: clock(p.cpu)),
    "cputime": ("TIME", lambda p: clock(p.cpu)),
    "etime": ("ELAPSED", _elapsed),
    "etimes": ("ELAPSED", lambda p: str(int(p.age))),
    "ni": ("NI", lambda p: str(p.nice)),
    "nice": ("NI", lambda p: str(p.nice)),
    "pri": ("PRI", lambda p: str(39 - p.priority)),
    "nlwp": ("NLWP", lambda p: str(p.threads)),
    "thcount": ("THCNT", lambda p: str(p.threads)),
}
_PS_SECONDS = 20
_RENAMED = re.compile(r"([^\s=]*)=\s*(PID\S*)")
_IS_PID = re.compile(r"(?:^|[,o])pid$")
_FULL = ("user", "pid", "ppid", "c", "stime", "tname", "time", "cmd")
_LONG_USER = ("user", "pid", "pcpu", "pmem", "vsz", "rss", "tname", "stat", "start_time", "_minutes", "command")


def columns_of(arguments: str) -> list[tuple[str, Callable[[Process], str]]] | None:
    """The columns that ``ps ARGUMENTS`` shows, each its title and its content; None where ps itself must be asked."""
    words = arguments.split()
    if words in (["-ef"], ["-fe"], ["-e", "-f"]):
        return [("UID", COLUMNS["user"][1]), *(COLUMNS[word] for word in _FULL[1:])]
    if words in (["aux"], ["-aux"], ["axu"], ["-axu"]):
        return [("TIME", _minutes) if word == "_minutes" else COLUMNS[word] for word in _LONG_USER]
    found = _listed_columns(words)
    if found is None or not all(word in COLUMNS for word in found):
        return None
    return [COLUMNS[word] for word in found]


def _listed_columns(words: Sequence[str]) -> list[str] | None:
    """The words of ``-o pid,cmd``, ``-opid``, ``-o pid -o cmd``, also beside ``-e``; None for other arguments."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in {"-e", "-A"}:
            continue
        if word in {"-o", "-eo", "-Ao", "o", "--format"} and rest:
            word = "-o" + rest.pop(0)
        if not word.startswith("-o") or "=" in word:
            return None
        found += word[2:].split(",")
    return found or None


def table(pids: Sequence[int], arguments: str) -> Table:
    """Titles and rows for processes of this machine.

    Args:
        pids: of a container.
        arguments: as for ps; empty for ``-ef``.

    Raises:
        InvalidInput: the columns lack PID, or ps does not take the arguments.
        Unavailable: arguments that only ps knows, and there is no ps.
    """
    columns = columns_of(arguments or "-ef")
    if columns is None:
        return _by_ps(frozenset(pids), arguments)
    titles = [title for title, _ in columns]
    _check_titles(titles)
    found = [process for pid in sorted(pids) if (process := look(pid)) is not None]
    return titles, [[show(process) for _, show in columns] for process in found]


def _check_titles(titles: Sequence[str]) -> None:
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output", hint="add pid to the columns: -o pid,cmd")


def _check_arguments(arguments: str) -> None:
    """Refuse what cannot be an argument, and what would give another column the title by which rows are chosen."""
    if "\0" in arguments:
        raise InvalidInput("bad parameter: ps_args has a zero byte in it")
    for column, title in _RENAMED.findall(arguments):
        if not _IS_PID.search(column):
            raise InvalidInput(
                f'specifying "{column}={title}" is not allowed', hint="no other column may be called PID"
            )


def _by_ps(pids: frozenset[int], arguments: str) -> Table:
    _check_arguments(arguments)
    try:
        done = subprocess.run(
            ["ps", *arguments.split()],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"ps {arguments} has not ended in {_PS_SECONDS} seconds") from None
    except FileNotFoundError:
        raise Unavailable(
            f"the columns of ps {arguments} take the program ps, which is not here",
            hint="install procps, or name columns: -o pid,user,cmd",
        ) from None
    if done.returncode:
        raise InvalidInput(f"ps: {done.stderr.strip() or 'it failed'}", hint=f"ps was given {arguments!r}")
    return parse_ps(done.stdout, pids)


def parse_ps(text: str, pids: frozenset[int]) -> Table:
    """What ps printed, for these processes only; the last column has spaces in it."""
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    _check_titles(titles)
    place = titles.index("PID")
    rows = []
    for line in lines[1:]:
        words = line.split(None, len(titles) - 1)
        if len(words) > place and words[place].isdigit() and int(words[place]) in pids:
            rows.append(words)
    return titles, rows
