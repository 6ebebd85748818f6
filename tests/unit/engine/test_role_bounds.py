"""What a socket with a role may ask for, and what is shown by it."""

import msgspec
import pytest

from kist.engine.policy import showing
from kist.engine.policy.judgement import Guest, judge, judge_network, judge_resources, judge_volume
from kist.engine.policy.role_bounds import RoleBounds
from kist.engine.roots import NO_IMAGE
from kist.errors import Forbidden
from kist.spec.container import Caller, Container, ContainerOptions, ExecOptions, ExecState, LogConfig, Namespaces
from kist.spec.devices import Device
from kist.spec.image import ContainerConfig
from kist.spec.json import encode
from kist.spec.mount import Mount
from kist.spec.network import NetworkOptions, Subnet
from kist.spec.networking import Endpoint, Networking, PortBinding
from kist.spec.resources import Resources, Ulimit
from kist.spec.scope import read_scope
from kist.spec.volume import Volume, VolumeOptions

SCOPE = read_scope("operator", ["ci=1"])
GUEST = Guest(SCOPE.owner, RoleBounds(SCOPE))


def nobody(name: str) -> Container:
    raise AssertionError(name)


def options(**asked: object) -> ContainerOptions:
    return ContainerOptions(image="x", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mounts": (Mount("volume", "mine", "/y", ("nocopy",)), Mount("volume", "", "/z"), Mount.tmpfs("/t"))},
        {"networking": Networking(ports=(PortBinding(80, host_port="8080"),))},
        {"networking": Networking(endpoints=(Endpoint("ours", aliases=("x",)),))},
        {"namespaces": Namespaces(user="auto")},
        {"cap_add": ("NET_RAW",), "cap_drop": ("ALL",)},
        {"resources": Resources(memory=1 << 30, ulimits=(Ulimit("nofile", 10, 10),))},
        {"sysctls": {"net.ipv4.ip_forward": "1"}},
    ],
)
def test_what_is_its_own_is_left_as_it_is(asked: dict[str, object]) -> None:
    assert judge(options(**asked), GUEST, nobody, frozenset({"ours"})) == options(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"mounts": (Mount.bind("/x", "/y", read_only=True),)},
        {"caller": Caller(SCOPE.owner.uid, 0, (), "x", "/")},
        {"caller": Caller(1000, 1000, (), "x", "/")},
        {"namespaces": Namespaces(user="host")},
        {"namespaces": Namespaces(user="keep-id")},
        {"devices": (Device("/dev/fuse"),)},
        {"cap_add": ("NET_ADMIN",)},
        {"networking": Networking(ports=(PortBinding(80, host_port="80"),))},
        {"log": LogConfig("journald", {})},
        {"network": "theirs"},
        {"resources": Resources(cpu_realtime_runtime=1)},
    ],
)
def test_nothing_that_a_policy_could_give_is_given_to_a_role(asked: dict[str, object]) -> None:
    with pytest.raises(Forbidden) as refused:
        judge(options(**asked), GUEST, nobody, frozenset({"ours"}))
    assert "operator of ci=1" in refused.value.message
    assert "policy" not in refused.value.hint


def test_volumes_networks_and_limits_have_the_bounds_of_guests() -> None:
    with pytest.raises(Forbidden, match="operator"):
        judge_volume(VolumeOptions("x", options={"type": "nfs"}), GUEST)
    with pytest.raises(Forbidden, match="operator"):
        judge_network(NetworkOptions("x", subnets=(Subnet("10.0.0.0/8"),)), GUEST)
    with pytest.raises(Forbidden, match="operator"):
        judge_resources(Resources(oom_kill_disable=True), GUEST)


SECRET = "s3cret"
FOUND = Container(
    "id", "name", NO_IMAGE, 1,
    options(
        env=(f"TOKEN={SECRET}", "PASSED_ON"), labels={"a": "b"}, log=LogConfig("splunk", {"splunk-token": SECRET}),
        mounts=(Mount("volume", "v", "/v", ("ro", "volume-opt=type=cifs", f"volume-opt=o=password={SECRET}")),),
    ),
    ContainerConfig(cmd=("sh",), env=(f"TOKEN={SECRET}", "PATH=/bin")), ("sh",),
)  # fmt: skip


def test_a_container_is_shown_without_values_that_may_be_secrets() -> None:
    shown = showing.container(FOUND)
    assert SECRET.encode() not in encode(shown)
    assert shown.options.env == ("TOKEN=***", "PASSED_ON")
    assert shown.config.env == ("TOKEN=***", "PATH=***")
    assert shown.options.mounts[0].options[0] == "ro"
    assert shown.options.log.options == {"splunk-token": "***"}
    assert (shown.id, shown.argv, shown.options.labels) == ("id", ("sh",), {"a": "b"})


def test_local_logs_have_no_secrets() -> None:
    log = LogConfig("json-file", {"max-size": "1m"})
    kept = msgspec.structs.replace(FOUND, options=options(log=log))
    assert showing.container(kept).options.log == log


def test_a_process_and_a_volume_are_shown_so_too() -> None:
    process = ExecState("id", "c", False, 0, 0, ExecOptions(("env",), env=(f"TOKEN={SECRET}",)))
    assert SECRET.encode() not in encode(showing.process(process))
    volume = Volume("v", 1, options={"type": "cifs", "o": f"password={SECRET}", "device": f"//u:{SECRET}@host/x"})
    assert showing.volume(volume).options == {"type": "cifs", "o": "***", "device": "***"}
