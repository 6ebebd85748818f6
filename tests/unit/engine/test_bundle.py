"""Options become a specification by Docker's rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine import bundle
from kist.engine.bundle import Surroundings
from kist.errors import InvalidInput, KistError, Unsupported
from kist.kernel.process import CAPABILITIES
from kist.spec.container import Caller, Container, ContainerOptions, ExecOptions, Namespaces
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.resources import Resources
from kist.spec.runtime import RuntimeSpec

SURROUNDINGS = Surroundings((Mount("overlay", "overlay"),), "/h/resolv", "/h/hostname", "/h/hosts")


def container(image: ContainerConfig | None = None, **options: Any) -> Container:
    asked = ContainerOptions(image="i", **{"command": ("true",), **options})
    config, argv = bundle.effective_config(asked, image or ContainerConfig())
    return Container("c0ffee123456789" + "0" * 49, "n", Digest("sha256:" + "0" * 64), 0, asked, config, argv)


def spec(**options: Any) -> RuntimeSpec:
    return bundle.runtime_spec(container(**options), SURROUNDINGS)


# the command


@pytest.mark.parametrize(
    ("image_entry", "image_cmd", "entry", "command", "argv"),
    [
        (None, ("sh",), None, None, "sh"),
        (("e",), ("c",), None, None, "e c"),
        (("e",), ("c",), None, (), "e c"),
        (("e",), ("c",), None, ("x", "y"), "e x y"),
        (None, ("c",), None, ("x",), "x"),
        (("e",), ("c",), ("n",), None, "n"),
        (("e",), ("c",), ("n",), (), "n"),
        (("e",), ("c",), ("n", "m"), ("x",), "n m x"),
        (("e",), ("c",), (), ("x",), "x"),
        (("e",), None, None, None, "e"),
        (("e",), ("c",), (), None, None),
        (None, None, None, None, None),
        ((), (), None, None, None),
    ],
)
def test_entrypoint_and_command(
    image_entry: tuple[str, ...] | None,
    image_cmd: tuple[str, ...] | None,
    entry: tuple[str, ...] | None,
    command: tuple[str, ...] | None,
    argv: str | None,
) -> None:
    options = ContainerOptions(image="i", entrypoint=entry, command=command)
    image = ContainerConfig(entrypoint=image_entry, cmd=image_cmd)
    if argv is None:
        with pytest.raises(InvalidInput, match="no command specified"):
            bundle.effective_config(options, image)
    else:
        assert bundle.effective_config(options, image)[1] == tuple(argv.split())


def test_options_are_laid_over_the_image() -> None:
    image = ContainerConfig(
        user="u", env=("A=1", "B=2"), working_dir="/w", labels={"l": "1", "k": "1"}, stop_signal="INT", cmd=("c",)
    )
    asked = ContainerOptions(image="i", user="v", env=("B=3", "A", "C=4"), labels={"l": "2"}, stop_signal="TERM")
    config, _ = bundle.effective_config(asked, image)
    assert config.user == "v"
    assert config.env == (bundle.DEFAULT_PATH, "B=3", "C=4")
    assert (config.working_dir, config.labels, config.stop_signal) == ("/w", {"l": "2", "k": "1"}, "TERM")
    assert bundle.effective_config(ContainerOptions(image="i"), image)[0].user == "u"


NAMES = st.sampled_from(["A", "B", "C", "PATH"])


@given(st.lists(st.lists(st.tuples(NAMES, st.none() | st.sampled_from(["", "1", "a=b"])), max_size=5), max_size=4))
def test_environments_merge_as_dictionaries_do(layers: list[list[tuple[str, str | None]]]) -> None:
    expected: dict[str, str] = {}
    for name, value in (entry for layer in layers for entry in layer):
        if value is None:
            expected.pop(name, None)
        else:
            expected[name] = value
    text = [[name if value is None else f"{name}={value}" for name, value in layer] for layer in layers]
    merged = bundle.merge_env(*text)
    assert dict(entry.split("=", 1) for entry in merged) == expected
    assert len(merged) == len(expected)


@pytest.mark.parametrize(
    ("options", "expected", "missing"),
    [
        ({}, ["HOSTNAME=c0ffee123456"], ["TERM", "HOME"]),
        ({"hostname": "box"}, ["HOSTNAME=box"], []),
        ({"tty": True}, ["TERM=xterm"], []),
        ({"tty": True, "env": ("TERM=vt100",)}, ["TERM=vt100"], ["TERM=xterm"]),
        ({"env": ("HOSTNAME=mine",)}, ["HOSTNAME=mine"], ["HOSTNAME=c0ffee123456"]),
        ({"caller": Caller(1, 2, (2,), "ada", "/home/ada")}, ["HOME=/home/ada", "USER=ada"], []),
    ],
)
def test_what_the_environment_adds(options: dict[str, Any], expected: list[str], missing: list[str]) -> None:
    env = spec(**options).process.env
    assert set(expected) <= set(env)
    assert not [entry for entry in env for name in missing if entry.startswith(name)]


def test_a_caller_is_run_as_by_numbers() -> None:
    user = spec(caller=Caller(1000, 1001, (1001, 27), "ada", "/home/ada"), user="other").process.user
    assert (user.uid, user.gid, user.additional_gids, user.username) == (1000, 1001, (1001, 27), "")
    assert spec(user="me:us").process.user.username == "me:us"
    assert spec().process.user.username == "0"


# capabilities


@pytest.mark.parametrize(
    ("add", "drop", "more", "less"),
    [
        ((), (), (), ()),
        (("sys_admin",), (), ("CAP_SYS_ADMIN",), ()),
        (("CAP_SYS_ADMIN",), ("chown", "Cap_Kill"), ("CAP_SYS_ADMIN",), ("CAP_CHOWN", "CAP_KILL")),
        (("chown",), ("chown",), (), ()),
        ((), ("SYS_ADMIN",), (), ()),
    ],
)
def test_capabilities_are_the_default_with_changes(
    add: tuple[str, ...], drop: tuple[str, ...], more: tuple[str, ...], less: tuple[str, ...]
) -> None:
    found = bundle.capabilities(add, drop)
    assert set(found) == set(bundle.DEFAULT_CAPABILITIES) - set(less) | set(more)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("ALL",), (), set(CAPABILITIES)),
        (("all",), ("CHOWN",), set(CAPABILITIES) - {"CAP_CHOWN"}),
        (("ALL", "CHOWN"), ("CHOWN",), set(CAPABILITIES) - {"CAP_CHOWN"}),
        ((), ("ALL",), set()),
        (("kill", "chown"), ("all",), {"CAP_KILL", "CAP_CHOWN"}),
        (("kill",), ("all", "kill"), {"CAP_KILL"}),
        (("ALL",), ("ALL",), set(CAPABILITIES)),
    ],
)
def test_all_capabilities(add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]) -> None:
    assert set(bundle.capabilities(add, drop)) == expected


@pytest.mark.parametrize("name", ["", "CAP_", "nosuch", "CAP_ALL"])
def test_an_unknown_capability_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid capability"):
        bundle.capabilities((), (name,))


# checks and limits


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cap_add": ("x",)}, InvalidInput, "invalid capability: 'x'"),
        ({"cgroup_parent": "a/../../b"}, InvalidInput, "leads out of the hierarchy"),
        ({"namespaces": Namespaces(cgroup="shared")}, InvalidInput, "invalid cgroup namespace mode: shared"),
        ({"resources": Resources(pids=-2)}, InvalidInput, "cannot be negative"),
        ({"working_dir": "here"}, InvalidInput, "needs to be an absolute path"),
        ({"mounts": (Mount.bind("/a", "/x"), Mount.tmpfs("/x/"))}, InvalidInput, "Duplicate mount point"),
        ({"mounts": (Mount.bind("/a", "x"),)}, InvalidInput, "must be an absolute path"),
        ({"mounts": (Mount.bind("/a", "/x/.."),)}, InvalidInput, "the target cannot be '/'"),
        ({"mounts": (Mount.bind("a", "/x"),)}, InvalidInput, "invalid mount source 'a'"),
        ({"mounts": (Mount("npipe", "v", "/x"),)}, Unsupported, "type npipe"),
        ({"env": ("=1",)}, InvalidInput, "invalid environment variable"),
        ({"env": ("A=\0",)}, InvalidInput, "invalid environment variable"),
        ({"command": ("a\0b",)}, InvalidInput, "NUL"),
    ],
)
def test_what_cannot_be_right_is_refused(options: dict[str, Any], error: type[KistError], words: str) -> None:
    with pytest.raises(error, match=words):
        bundle.check(ContainerOptions(image="i", **options))


def test_what_is_right_passes() -> None:
    bundle.check(
        ContainerOptions(
            image="i",
            resources=Resources(memory=6 << 20, nano_cpus=1, pids=-1),
            working_dir="/",
            mounts=(Mount.bind("/a", "/x"), Mount.bind("/a", "/x/y"), Mount.tmpfs("/t")),
            env=("A", "B="),
        )
    )


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), (0, 0, 0, 0)),
        (Resources(memory=1 << 30), (1 << 30, 0, 0, 0)),
        (Resources(nano_cpus=1_500_000_000), (0, 150_000, 100_000, 0)),
        (Resources(nano_cpus=20_000), (0, 1000, 100_000, 0)),
        (Resources(pids=7), (0, 0, 0, 7)),
    ],
)
def test_limits(resources: Resources, expected: tuple[int, ...]) -> None:
    found = bundle.limits(resources)
    assert (found.memory, found.cpu_quota, found.cpu_period, found.pids) == expected


def test_devices_are_denied_before_any_is_allowed() -> None:
    rules = bundle.limits(Resources()).devices
    assert (rules[0].allow, rules[0].type, rules[0].access) == (False, "a", "rwm")
    assert all(rule.allow for rule in rules[1:])
    assert not [r for r in rules[1:] if r.type == "b" and "r" in r.access]


# namespaces and mounts


@pytest.mark.parametrize("network", ["bridge", "none", "host"])
def test_all_namespaces_but_the_networks_of_the_host(network: str) -> None:
    made = spec(network=network)
    assert set(made.linux.namespaces) == {"pid", "mount", "ipc", "uts", "cgroup"} | (
        set() if network == "host" else {"network"}
    )
    assert bool(made.linux.sysctl) == (network != "host")
    assert made.linux.seccomp
    assert made.linux.masked_paths
    assert made.linux.cgroups_path.startswith("kist/")


def targets(*mounts: Mount) -> list[str]:
    return [mount.target for mount in spec(mounts=mounts).mounts]


def test_the_containers_own_mounts_come_first_and_parents_before_children() -> None:
    found = targets(Mount.bind("/a", "/x/y/z"), Mount.bind("/a", "/x"), Mount.tmpfs("/x/y"))
    assert found[:2] == ["/proc", "/dev"]
    assert found.index("/dev") < found.index("/dev/pts")
    assert found.index("/sys") < found.index("/sys/fs/cgroup")
    assert [target for target in found if target.startswith("/x")] == ["/x", "/x/y", "/x/y/z"]


def test_a_directory_over_etc_does_not_hide_the_files_of_the_network() -> None:
    found = targets(Mount.bind("/a", "/etc"))
    assert found.index("/etc") < found.index("/etc/hosts")


@pytest.mark.parametrize("target", ["/etc/hosts", "/etc/resolv.conf", "/dev/shm", "/proc", "/sys"])
def test_a_mount_takes_the_place_of_the_usual_one(target: str) -> None:
    found = [mount for mount in spec(mounts=(Mount.bind("/mine", target),)).mounts if mount.target == target]
    assert [mount.source for mount in found] == ["/mine"]


def test_a_dev_of_the_users_is_the_whole_dev() -> None:
    assert [t for t in targets(Mount.bind("/dev", "/dev")) if t.startswith("/dev")] == ["/dev"]
    mine = targets(Mount.bind("/dev", "/dev"), Mount.tmpfs("/dev/shm"))
    assert [t for t in mine if t.startswith("/dev")] == ["/dev", "/dev/shm"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [((), ()), (("exec",), ("noexec",)), (("size=1m", "dev", "suid"), ("nodev", "nosuid"))],
)
def test_a_tmpfs_is_quiet_unless_told(given: tuple[str, ...], missing: tuple[str, ...]) -> None:
    [found] = [mount for mount in spec(mounts=(Mount.tmpfs("/t", *given),)).mounts if mount.target == "/t"]
    assert set(found.options) == {"nosuid", "nodev", "noexec"} - set(missing) | set(given)


def test_the_size_of_shared_memory() -> None:
    [shm] = [m for m in spec(resources=Resources(shm_size=5 << 20)).mounts if m.target == "/dev/shm"]
    assert shm.option("size") == str(5 << 20)


def test_missing_files_of_the_surroundings_are_not_mounted() -> None:
    made = bundle.runtime_spec(container(), Surroundings(SURROUNDINGS.root, "", "", ""))
    assert not [mount for mount in made.mounts if mount.target.startswith("/etc")]


# further processes


def test_a_further_process_is_like_the_first_unless_told_otherwise() -> None:
    first = container(ContainerConfig(working_dir="/w", user="u"), env=("A=1", "B=2"), cap_drop=("ALL",), tty=True)
    found = bundle.exec_process(first, ExecOptions(command=("x",), env=("B=3",)))
    assert (found.args, found.cwd, found.user.username, found.capabilities) == (("x",), "/w", "u", ())
    assert {"A=1", "B=3"} <= set(found.env)
    assert not found.terminal
    other = bundle.exec_process(first, ExecOptions(command=("x",), user="v", working_dir="/v", tty=True))
    assert (other.cwd, other.user.username, other.terminal) == ("/v", "v", True)


def test_a_terminal_of_its_own_has_a_type() -> None:
    found = bundle.exec_process(container(), ExecOptions(command=("x",), tty=True))
    assert "TERM=xterm" in found.env
