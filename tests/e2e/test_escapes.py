"""Attacks: programs that try to get out of a container, or at what is the host's. Each must be held.

Most are Python programs, run with the host's interpreter, which is mounted read-only into the container. One prints
``OUT`` and what it got when it gets somewhere, and ``TRIED`` when it has come to its end. The number of attacks is
printed at the end.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import needs
from attacks import CALLS, FILES, UNFILTERED
from harness import image_with_links
from kist.engine import Engine
from kist.errors import KistError
from kist.runtime.seccomp.architectures import of_machine
from kist.spec.container import Container, ContainerOptions, ExecOptions, Namespaces
from kist.spec.mount import Mount
from kist.spec.platform import Platform
from told import tell

PYTHON = os.path.realpath(sys.executable)
LIBRARIES = [path for path in ("/usr", "/lib", "/lib64", "/bin") if os.path.isdir(path)]
_needed = [path for path in (sys.base_prefix, os.path.dirname(PYTHON)) if not path.startswith("/usr")]
INTERPRETER = tuple(
    Mount.bind(os.path.realpath(path), path, read_only=True) for path in (*LIBRARIES[:3], *dict.fromkeys(_needed))
)
NUMBERS = of_machine(Platform.of_machine(platform.machine()).architecture)[0].numbers()
PRELUDE = f"""
import ctypes, errno, os, sys
N = {json.dumps(NUMBERS)}
_libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    'The result, or None after noting why not.'
    if name not in N: return None
    ctypes.set_errno(0)
    done = _libc.syscall(ctypes.c_long(N[name]), *[a if isinstance(a, (bytes, ctypes.Array)) else ctypes.c_long(a)
                                                    for a in arguments])
    return None if done == -1 else done
def out(*what): print('OUT', *what, flush=True)
def attempt(name, *arguments):
    if call(name, *arguments) is not None: out(name, arguments)
def writes(path, flags=os.O_WRONLY, data=None):
    try:
        f = os.open(path, flags | os.O_NONBLOCK)
        if data is not None: os.write(f, data)
    except OSError:
        return
    out('opened for writing' if data is None else 'written to', path)
    os.close(f)
"""
USUAL, PRIVATE = Namespaces(), Namespaces(user="auto")


class Tally:
    """How many attacks were tried."""

    tried = 0


@pytest.fixture(scope="module", autouse=True)
def count(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    tell(request.config, f"escapes: {Tally.tried} attacks tried")


Attack = Callable[..., str]


@pytest.fixture
def attack(engine: Engine, busybox: str) -> Attack:
    """Run an attack in a new container; fails when it says that it got somewhere, or did not come to its end."""

    def run(code: str, *, mounts: tuple[Mount, ...] = (), **options: object) -> str:
        Tally.tried += 1
        usual = {"network": "none", "namespaces": USUAL}
        asked = ContainerOptions(
            image=busybox,
            mounts=(*INTERPRETER, *mounts),
            **{**usual, **options},  # type: ignore[arg-type]
        )
        program = f"{PRELUDE}\n{code}\nprint('TRIED')"
        result = engine.run(busybox, [PYTHON, "-I", "-S", "-c", program], options=asked, check=False)
        assert "TRIED" in result.stdout, result
        assert "OUT" not in result.stdout, result.stdout
        return result.stdout

    return run


BOTH = pytest.mark.parametrize(
    "spaces", [pytest.param(USUAL, id="host-ids"), pytest.param(PRIVATE, id="own-ids", marks=needs.ID_RANGES)]
)


@BOTH
@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_calls_that_lead_out(attack: Attack, code: str, spaces: Namespaces) -> None:
    attack(code, namespaces=spaces)


@BOTH
@pytest.mark.parametrize("code", FILES.values(), ids=FILES)
def test_files_of_the_machine(attack: Attack, code: str, spaces: Namespaces) -> None:
    attack(code, namespaces=spaces)


@needs.ID_RANGES
@pytest.mark.parametrize("code", UNFILTERED.values(), ids=UNFILTERED)
def test_nothing_leads_out_of_a_user_namespace(attack: Attack, code: str) -> None:
    attack(
        code, namespaces=PRIVATE, cap_add=("ALL",), security_options=("seccomp=unconfined", "systempaths=unconfined")
    )


# the host's processes and sockets


def test_abstract_sockets_of_the_host_are_out_of_reach(attack: Attack) -> None:
    name = f"kist-escape-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        attack(
            f"import socket\ns = socket.socket(socket.AF_UNIX)\n"
            f"try:\n    s.connect('\\0{name}'); out('connected')\nexcept OSError: pass"
        )


def test_monitors_cannot_be_looked_into(attack: Attack) -> None:
    """In the host's pid namespace they are in sight, and no more."""
    said = attack(
        """
seen = 0
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: title = open(f'/proc/{pid}/cmdline', 'rb').read()
    except OSError: continue
    if not title.startswith(b'kist-'): continue
    seen += 1
    for name in ('exe', 'cwd', 'root'):
        try: out(name, os.readlink(f'/proc/{pid}/{name}'))
        except OSError: pass
    for name in ('mem', 'environ', 'maps'):
        try: os.open(f'/proc/{pid}/{name}', os.O_RDONLY); out(name)
        except OSError: pass
    for descriptor in range(40):
        try: out('fd', os.readlink(f'/proc/{pid}/fd/{descriptor}'))
        except OSError: pass
        try: os.open(f'/proc/{pid}/fd/{descriptor}', os.O_RDONLY | os.O_NONBLOCK); out('fd', descriptor)
        except OSError: pass
    attempt('ptrace', 16, int(pid), 0, 0)
    if call('pidfd_getfd', call('pidfd_open', int(pid), 0) or -1, 0, 0) is not None: out('pidfd_getfd')
print('seen', seen > 0)
""",
        namespaces=Namespaces(pid="host"),
    )
    assert "seen True" in said


def test_the_reaper_cannot_be_looked_into(attack: Attack) -> None:
    attack(
        """
for name in ('exe', 'cwd', 'root'):
    try: out(name, os.readlink(f'/proc/1/{name}'))
    except OSError: pass
for name in ('mem', 'environ'):
    try: os.open(f'/proc/1/{name}', os.O_RDONLY); out(name)
    except OSError: pass
for descriptor in range(40):
    try: out('fd', os.readlink(f'/proc/1/fd/{descriptor}'))
    except OSError: pass
attempt('ptrace', 16, 1, 0, 0)
""",
        init=True,
    )


WATCH = """
import time
def name_of(pid):
    try: return open(f'/proc/{pid}/comm').read()
    except OSError: return ''
def reaches(pid, path, flags):
    try:
        if flags is None: os.readlink(path)
        else: os.close(os.open(path, flags | os.O_NONBLOCK))
    except OSError: return False
    return True
end = time.monotonic() + 100
while time.monotonic() < end and not os.path.exists('/tmp/stop'):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        name = name_of(pid)
        if int(pid) == os.getpid() or not ('kist' in name or 'python' in name): continue
        print('SAW', flush=True)
        places = [('mem', os.O_RDWR), ('environ', os.O_RDONLY), ('exe', None), ('root', None), ('cwd', None)]
        places += [(f'fd/{n}', how) for n in range(20) for how in (None, os.O_RDONLY)]
        for place, flags in places:
            # Only what was reached while it still was what it is called counts: after that it is the container's.
            if reaches(pid, f'/proc/{pid}/{place}', flags) and name_of(pid) == name: out(place, name)
print('TRIED', flush=True)
"""


@pytest.fixture
def running(engine: Engine, busybox: str) -> Iterator[Callable[..., Container]]:
    made: list[Container] = []

    def run(*command: str, **options: object) -> Container:
        usual = {"network": "none", "mounts": INTERPRETER}
        made.append(engine.create(ContainerOptions(image=busybox, command=command, **{**usual, **options})))  # type: ignore[arg-type]
        engine.start(made[-1])
        return engine.container(made[-1].id)

    yield run
    for container in made:
        with contextlib.suppress(KistError):
            engine.remove(container, force=True)


def logged(engine: Engine, container: Container) -> str:
    return b"".join(record.data for record in engine.logs(container)).decode()


@BOTH
def test_execd_processes_are_not_caught_before_they_execute(
    engine: Engine, running: Callable[..., Container], spaces: Namespaces
) -> None:
    container = running(PYTHON, "-I", "-S", "-c", PRELUDE + WATCH, namespaces=spaces)
    for _ in range(40):
        Tally.tried += 1
        engine.exec(container, ExecOptions(("/bin/busybox", "true")))
    engine.exec(container, ExecOptions(("/bin/busybox", "touch", "/tmp/stop")))
    engine.wait(container)
    said = logged(engine, container)
    assert "TRIED" in said
    assert "OUT" not in said, said


# the host's interpreter, which every container begins as

FIND = (
    "find() { for p in /proc/[0-9]*; do"
    " grep -q 'time[.]sleep(SECONDS)' $p/cmdline 2>/dev/null && echo ${p#/proc/} && return; done; false; }; "
)
GRAB = (
    "until pid=$(find); do sleep 0.02; done; exec 3< /proc/$pid/exe && echo HELD;"
    "while grep -q 'State:.[RSD]' /proc/$pid/status 2>/dev/null; do sleep 0.05; done;"
    "echo overwritten > /proc/self/fd/3 && echo OUT; echo TRIED"
)


@pytest.mark.parametrize("how", ["start", "exec"])
def test_the_interpreter_cannot_be_overwritten(engine: Engine, running: Callable[..., Container], how: str) -> None:
    """CVE-2019-5736: the image names /proc/self/exe as a command, and holds on to the file that it gets."""
    Tally.tried += 1
    before = hashlib.sha256(Path(PYTHON).read_bytes()).digest()
    # It is looked for among all processes of the machine, or among a few, and is not another session's.
    seconds = f"{4 if how == 'start' else 1}.{os.getpid()}"
    find = FIND.replace("SECONDS", seconds)
    program = ("/proc/self/exe", "-I", "-S", "-c", f"import time; time.sleep({seconds})")
    if how == "start":
        container = running("sh", "-c", find + GRAB, namespaces=Namespaces(pid="host"), mounts=())
        running(*program)
    else:
        container = running("sh", "-c", find + GRAB)
        engine.exec(container, ExecOptions(program))
    engine.wait(container)
    said = logged(engine, container)
    assert "HELD" in said, said
    assert "TRIED" in said, said
    assert "OUT" not in said, said
    assert "Read-only file system" in said, said
    assert hashlib.sha256(Path(PYTHON).read_bytes()).digest() == before


# working directories and links that lead to the host


@pytest.mark.parametrize("way", ["image", "exec", "link"])
def test_a_working_directory_of_the_host(
    engine: Engine, busybox: str, running: Callable[..., Container], tmp_path: Path, way: str
) -> None:
    """CVE-2024-21626: a working directory that is a descriptor which somebody left open."""
    (tmp_path / "marker").write_text("the host's", encoding="ascii")
    up = "../" * 12 + str(tmp_path).lstrip("/") + "/marker"
    script = f"cat {up} /proc/self/cwd/{up} 2>/dev/null && echo OUT; echo TRIED"
    container = running("sleep", "60") if way == "exec" else None
    for number in range(3, 24):
        Tally.tried += 1
        place = f"/proc/self/fd/{number}"
        with contextlib.suppress(KistError):
            if container is not None:
                result = engine.exec(container, ExecOptions(("sh", "-c", script), working_dir=place))
            elif way == "image":
                asked = ContainerOptions(image=busybox, network="none", working_dir=place)
                result = engine.run(busybox, ["sh", "-c", script], options=asked, check=False)
            else:
                links = f"rm -rf /w; ln -s {place} /w"
                keeper = running("sh", "-c", f"{links}; sleep 60")
                result = engine.exec(keeper, ExecOptions(("sh", "-c", script), working_dir="/w"))
                engine.remove(keeper, force=True)
            assert "OUT" not in result.stdout, (place, result)


def test_targets_that_are_swapped_while_containers_start(engine: Engine, busybox: str, tmp_path: Path) -> None:
    """Somebody who shares a volume turns a part of a bind's target into a link to the host, again and again."""
    victim, volume, source = tmp_path / "victim", tmp_path / "volume", tmp_path / "source"
    for directory in (victim, volume / "a" / "b", source):
        directory.mkdir(parents=True)
    (volume / "link").symlink_to("../" * 20 + str(victim).lstrip("/"))
    (volume / "absolute").symlink_to(victim)
    ended = threading.Event()

    def swap() -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            link = volume / ("link", "absolute")[turn % 2]
            # A step fails where a container has just made its own directory there; the next turn goes on with that.
            for old, new in ((volume / "a", volume / "kept"), (link, volume / "a"), (volume / "a", link)):
                with contextlib.suppress(OSError):
                    os.rename(old, new)
            try:
                os.rename(volume / "kept", volume / "a")
            except OSError:
                shutil.rmtree(volume / "kept", ignore_errors=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    started = 0
    try:
        for _ in range(40):
            Tally.tried += 1
            mounts = (Mount.bind(str(volume), "/v"), Mount.bind(str(source), "/v/a/b"))
            asked = ContainerOptions(image=busybox, network="none", mounts=mounts)
            script = "touch /v/a/b/here 2>/dev/null; echo TRIED"
            with contextlib.suppress(KistError):
                engine.run(busybox, ["sh", "-c", script], options=asked, check=False)
                started += 1
            assert not list(victim.iterdir())
            assert str(victim) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    finally:
        ended.set()
        swapper.join()
    assert started, "no container came up between the swaps: nothing was tried"


HOSTILE_LINKS = [
    {"proc": "/vol"},
    {"proc": "/vol/proc", "sys": "/vol/sys"},
    {"proc": "../../../../../../vol"},
    {"dev": "/vol"},
    {"sys": "/proc"},
    {"etc": "/vol"},
    {"etc/passwd": "/proc/self/environ"},
    {"etc/hosts": "/proc/sysrq-trigger"},
    {"etc/resolv.conf": "../../../../../../../../vol/made"},
    {"root": "/proc/1/root"},
]


@BOTH
@pytest.mark.parametrize(
    "links", HOSTILE_LINKS, ids=[next(iter(links)) + "-" + str(n) for n, links in enumerate(HOSTILE_LINKS)]
)
def test_images_whose_own_directories_are_links(
    engine: Engine, tmp_path: Path, links: dict[str, str], spaces: Namespaces
) -> None:
    """CVE-2019-19921 and its kin: /proc is a link into a volume, where somebody else writes at the same time."""
    Tally.tried += 1
    image = image_with_links(engine, links)
    outside, volume = tmp_path / "outside", tmp_path / "vol"
    outside.write_text("untouched", encoding="ascii")
    for name in ("sys/net/ipv4", "self/attr", "proc/sys/net/ipv4", "sys/kernel", "fd"):
        (volume / name).mkdir(parents=True, exist_ok=True)
    for name in (
        "sys/net/ipv4/ip_unprivileged_port_start",
        "proc/sys/net/ipv4/ping_group_range",
        "null",
        "made",
        "passwd",
    ):
        (volume / name).symlink_to("../" * 20 + str(outside).lstrip("/"))
    # A file of procfs or sysfs that can be written to would be the machine's.
    script = (
        "for above in /proc /vol /vol/proc /sys; do"
        " for name in sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe kernel/uevent_helper; do"
        " place=$above/$name; [ -f $place ] || continue; kind=$(stat -f -c %t $place);"
        " [ $kind = 9fa0 -o $kind = 62656572 ] && (: >> $place) 2>/dev/null && echo OUT $place;"
        " done; done; echo TRIED"
    )
    asked = ContainerOptions(image=image, network="none", namespaces=spaces, mounts=(Mount.bind(str(volume), "/vol"),))
    with contextlib.suppress(KistError):  # refused is held, too
        result = engine.run(image, ["sh", "-c", script], options=asked, check=False)
        assert "OUT" not in result.stdout, result
    assert outside.read_text(encoding="ascii") == "untouched"


def test_the_data_root_is_nobody_elses(engine: Engine) -> None:
    """A set-uid program that a container makes is on the host's disk, where no user gets at it."""
    Tally.tried += 1
    assert os.stat(engine.store.root).st_mode & 0o077 == 0


TRACER = """
import os, time
own = {os.stat(place).st_dev for place in ('/', '/proc', '/dev', '/dev/shm', '/sys')}
end = time.monotonic() + 100
seen = set()
while time.monotonic() < end and not os.path.exists('/tmp/stop'):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if int(pid) == os.getpid(): continue
        seen.add(pid)
        for place in ('root', 'cwd', *(f'fd/{n}' for n in range(3, 40))):
            try:
                directory = os.open(f'/proc/{pid}/{place}', os.O_RDONLY | os.O_DIRECTORY)
            except OSError: continue
            if os.fstat(directory).st_dev not in own: print('OUT', place, os.listdir(directory)[:5], flush=True)
            os.close(directory)
print('SEEN', len(seen), flush=True)
"""


def test_who_may_trace_finds_nothing_of_the_hosts_in_an_execd_process(
    engine: Engine, running: Callable[..., Container]
) -> None:
    """CVE-2016-9962: descriptors of the host in a process that has come into the container and not executed yet."""
    container = running(PYTHON, "-I", "-S", "-c", TRACER, cap_add=("SYS_PTRACE",))
    for _ in range(60):
        Tally.tried += 1
        engine.exec(container, ExecOptions(("/bin/busybox", "true")))
    engine.exec(container, ExecOptions(("/bin/busybox", "touch", "/tmp/stop")))
    engine.wait(container)
    said = logged(engine, container)
    assert int(said.partition("SEEN ")[2]) > 10, said
    assert "OUT" not in said, said
