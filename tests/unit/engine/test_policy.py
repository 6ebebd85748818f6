"""The policy for callers who are not root: what of a container is judged, and how the file is read."""

import msgspec
import pytest

from kist.engine.policy import judgement
from kist.engine.policy.judgement import Guest, judge
from kist.engine.policy.reading import PolicyFile, parse
from kist.engine.policy.rights import Policy, Rights, Rule, Who
from kist.engine.roots import NO_IMAGE
from kist.errors import Forbidden, InvalidInput
from kist.spec.container import Caller, Container, ContainerOptions, LogConfig, Namespaces
from kist.spec.devices import Device, DeviceRequest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, Networking, PortBinding
from kist.spec.owner import Owner
from kist.spec.resources import DeviceRate, Resources, Ulimit

ADA = Owner(1000, 1000, (1000, 50), "ada")
GUEST = Guest(ADA, Rights("ada"))


def nobody(name: str) -> Container:
    raise AssertionError(name)


def options(**asked: object) -> ContainerOptions:
    return ContainerOptions(image="x", **asked)  # type: ignore[arg-type]


def test_every_field_of_a_container_is_harmless_or_checked() -> None:
    """Who adds a field has to say which it is (kist.engine.policy.judgement)."""
    assert judgement.HARMLESS.isdisjoint(judgement.CHECKED)
    assert set(ContainerOptions.__struct_fields__) == judgement.HARMLESS | judgement.CHECKED
    assert judgement.HARMLESS_NETWORKING | {"endpoints", "links", "ports", "publish_all"} == set(
        Networking.__struct_fields__
    )
    checked = {
        "device_rules", "blkio_weight_devices", "read_bps", "write_bps", "read_iops", "write_iops", "oom_kill_disable",
        "cpu_realtime_runtime", "cpu_realtime_period", "ulimits",
    }  # fmt: skip
    assert judgement.HARMLESS_RESOURCES | checked == set(Resources.__struct_fields__)
    assert set(Namespaces.__struct_fields__) == {"ipc", "pid", "uts", "cgroup", "user"}


ME = Caller(1000, 1000, (50,), "ada", "/home/ada")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mounts": (Mount.bind("/x", "/y"), Mount.bind("/x", "/z", read_only=True), Mount.tmpfs("/t", "size=1m"))},
        {"mounts": (Mount("volume", "mine", "/y", ("nocopy",)), Mount("volume", "", "/z"))},
        {"networking": Networking(ports=(PortBinding(80, host_port="8080"), PortBinding(81)))},
        {"network": "none"},
        {"namespaces": Namespaces(ipc="shareable", cgroup="private", user="auto")},
        {"cap_add": ("NET_RAW",), "cap_drop": ("ALL",)},
        {"security_options": ("no-new-privileges", "seccomp=builtin")},
        {"resources": Resources(memory=1 << 30, ulimits=(Ulimit("nofile", 10, 10),))},
        {"log": LogConfig("local", {})},
        {"caller": ME},
        {"oom_score_adj": 500},
    ],
)
def test_what_is_a_guests_own_is_left_alone(asked: dict[str, object]) -> None:
    judged = judge(options(**asked), GUEST, nobody)
    assert judged.namespaces.user == "auto"
    spaces = msgspec.structs.replace(judged.namespaces, user=options(**asked).namespaces.user)
    assert msgspec.structs.replace(judged, namespaces=spaces) == options(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"privileged": True},
        {"cap_add": ("ALL",)},
        {"cap_add": ("SYS_PTRACE",)},
        {"security_options": ("seccomp=unconfined",)},
        {"security_options": ('seccomp={"defaultAction": "SCMP_ACT_ALLOW"}',)},
        {"security_options": ("apparmor=unconfined",)},
        {"security_options": ("label=disable",)},
        {"security_options": ("writable-cgroups=true",)},
        {"security_options": ("systempaths=unconfined",)},
        {"masked_paths": ()},
        {"readonly_paths": ()},
        {"oom_score_adj": -1},
        {"network": "host"},
        {"network": "container:x"},
        {"network": "somebodys"},
        {"networking": Networking(endpoints=(Endpoint("bridge"), Endpoint("somebodys")))},
        {"networking": Networking(endpoints=(Endpoint("bridge", links=("x",)),))},
        {"namespaces": Namespaces(ipc="host")},
        {"namespaces": Namespaces(ipc="container:x")},
        {"namespaces": Namespaces(pid="host")},
        {"namespaces": Namespaces(pid="container:x")},
        {"namespaces": Namespaces(pid="other")},
        {"namespaces": Namespaces(uts="host")},
        {"namespaces": Namespaces(cgroup="host")},
        {"namespaces": Namespaces(user="host")},
        {"namespaces": Namespaces(user="keep-id")},
        {"namespaces": Namespaces(user="container:x")},
        {"namespaces": Namespaces(user="auto:uidmapping=0:0:1")},
        {"namespaces": Namespaces(user="auto:size=65537")},
        {"rootfs": "/"},
        {"runtime": "runc"},
        {"cgroup_parent": "/"},
        {"volume_driver": "other"},
        {"log": LogConfig("syslog", {"syslog-address": "unixgram:///run/other"})},
        {"log": LogConfig("journald", {})},
        {"devices": (Device("/dev/sda"),)},
        {"device_requests": (DeviceRequest(count=-1),)},
        {"networking": Networking(links=("x",))},
        {"networking": Networking(ports=(PortBinding(80, host_port="80"),))},
        {"networking": Networking(ports=(PortBinding(80, host_port="1000-1100"),))},
        {"resources": Resources(device_rules=("a *:* rwm",))},
        {"resources": Resources(read_bps=(DeviceRate("/dev/sda", 1),))},
        {"resources": Resources(oom_kill_disable=True)},
        {"resources": Resources(cpu_realtime_runtime=1)},
        {"resources": Resources(ulimits=(Ulimit("rtprio", 1, 1),))},
        {"caller": msgspec.structs.replace(ME, uid=0)},
        {"caller": msgspec.structs.replace(ME, gid=0)},
        {"caller": msgspec.structs.replace(ME, groups=(0,))},
        *({"mounts": (Mount("bind", "/x", "/y", (word,)),)} for word in
          ("rshared", "shared", "rslave", "slave", "U", "bind", "ro-top", "create", "callers", "suid", "dev", "odd")),
        {"mounts": (Mount("volume", "x", "/y", ("U",)),)},
        {"mounts": (Mount("overlay", "x", "/y"),)},
    ],
)  # fmt: skip
def test_what_is_the_hosts_or_anothers_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(Forbidden) as refused:
        judge(options(**asked), GUEST, nobody)
    assert "ada" in refused.value.message
    assert "[[allow]]" in refused.value.hint


def test_the_giver_of_volumes_is_meant_by_its_id() -> None:
    judged = judge(options(volumes_from=("mine:ro",)), GUEST, lambda name: _container(f"id-of-{name}"))
    assert judged.volumes_from == ("id-of-mine:ro",)


def _container(identifier: str) -> Container:
    return Container(identifier, "n", NO_IMAGE, 0, options(), ContainerConfig(), (), owner=ADA)


TEXT = """
[[allow]]
users = ["ada"]
groups = ["lab"]
options = ["low-ports", "cap-add=CAP_NET_ADMIN", "device=/dev/fuse"]
paths = ["/srv/data", "/srv/models:ro"]

[[deny]]
groups = ["students"]
options = ["build"]
paths = ["/home"]
"""


def test_rules_are_for_users_and_for_groups() -> None:
    policy = parse(TEXT)
    ada, bob = (Owner(1, 1, (), name) for name in ("ada", "bob"))
    assert policy.rights(Who(ada)).allowed == {"low-ports", "cap-add=CAP_NET_ADMIN", "device=/dev/fuse"}
    assert policy.rights(Who(bob)).allowed == frozenset()
    assert policy.rights(Who(bob, frozenset({"lab"}))).granted == ("/srv/data", "/srv/models:ro")
    # Who has left a group is still listed in it: that takes, and does not give.
    listed = policy.rights(Who(bob, frozenset(), frozenset({"lab", "students"})))
    assert (listed.allowed, listed.denied, listed.closed) == (frozenset(), {"build"}, ("/home",))


def test_who_is_denied_something_is_not_trusted() -> None:
    trusting = Rule(options=("trusted",))
    who = Who(ADA)
    assert Policy((trusting,)).rights(who).trusted
    assert not Policy((trusting,), (Rule(options=("build",)),)).rights(who).trusted
    assert not Policy((trusting,), (Rule(paths=("/home",)),)).rights(who).trusted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[allow]", "p: "),
        ("x = 1", "p:1: there is no table 'x'"),
        ("\n[[permit]]\n", "p:2: there is no table 'permit'"),
        ("[allow]\nusers = ['a']\n", "p:1: allow is no list of tables"),
        ("[[allow]]\noptions = ['low-ports']\n\n[[allow]]\nuser = ['ada']\n", "p:5: there is no key 'user'"),
        ("[[allow]]\nusers = 'ada'\noptions = ['low-ports']\n", "p:2: users is no list of strings"),
        ("[[allow]]\nusers = []\noptions = ['low-ports']\n", "p:2: users is empty"),
        ("[[allow]]\nusers = ['ada']\noptions = ['privileged']\n", "p:3: [[allow]] has no option 'privileged'"),
        ("[[allow]]\noptions = ['cap-add=SYS_ADMIN']\n", "p:2: [[allow]] has no option 'cap-add=SYS_ADMIN'"),
        ("[[allow]]\noptions = ['cap-add=CAP_SYS_ADMIN']\n", "p:2: [[allow]] has no option 'cap-add=CAP_SYS_ADMIN'"),
        ("[[allow]]\noptions = ['device=']\n", "p:2: [[allow]] has no option 'device='"),
        ("[[deny]]\noptions = ['trusted']\n", "p:2: [[deny]] has no option 'trusted'"),
        ("[[allow]]\npaths = ['data']\n", "p:2: the path 'data' is not absolute and plain"),
        ("[[allow]]\npaths = ['/srv/../etc']\n", "p:2: the path '/srv/../etc' is not absolute and plain"),
        ("[[allow]]\npaths = ['/']\n", "p:2: the path / is all there is"),
        ("[[allow]]\nusers = ['ada']\n", "p:1: this [[allow]] says nothing"),
    ],
)
def test_a_mistake_in_the_policy_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        parse(text, "p")
    assert said in told.value.message
    assert told.value.hint


@pytest.mark.parametrize("name", ["ada", 'a"]\n[[allow]]\noptions = ["trusted"]\n#', "\\", "\x7f\x00", "ä"])
def test_the_lines_that_grant_something_are_a_policy_whatever_is_in_them(name: str) -> None:
    rights = Rights(name)
    for lines in (rights.grant(options="low-ports"), rights.grant(paths=f"/srv/{name}")):
        policy = parse(lines.partition("\n")[2])
        assert [rule.users for rule in policy.allow] == [{name}]
        assert not policy.rights(Who(Owner(1, 1, (), "bob"))).allowed


@pytest.mark.parametrize("word", ["cap-add=CAP_SYS_ADMIN", "cap-add=CAP_NET_ADMIN", "low-ports"])
def test_the_lines_that_grant_something_grant_it(word: str) -> None:
    with pytest.raises(Forbidden) as refused:
        Rights("ada").need(word, "it")
    rights = parse(refused.value.hint.partition("\n")[2]).rights(Who(ADA))
    assert rights.trusted or word in rights.allowed


def test_there_need_be_no_policy() -> None:
    assert PolicyFile("/nowhere/policy.toml").read().allow == ()


def test_a_granted_directory_holds_what_is_in_it() -> None:
    owner = Owner(1, 1, granted=("/srv/data", "/srv/data/deep", "/srv/models:ro"))
    assert owner.grant("/srv/data/x", writable=True) == "/srv/data"
    assert owner.grant("/srv/data/deep/x", writable=True) == "/srv/data/deep"
    assert owner.grant("/srv/database", writable=False) == ""
    assert owner.grant("/srv/models", writable=False) == "/srv/models"
    assert owner.grant("/srv/models", writable=True) == ""
