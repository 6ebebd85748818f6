"""Every option of run and create goes its way into the create body, and the engine reads there what was meant."""

import os
from pathlib import Path
from typing import Any

import pytest

from kist.cli.commands.run import COMMAND
from kist.cli.container_options import CONTAINER_OPTIONS
from kist.cli.create_body import create_body
from kist.cli.parser import parse
from kist.cli.usage import UsageError
from kist.errors import KistError, Unsupported
from kist.spec.container import ContainerOptions, LogConfig, Namespaces, RestartPolicy
from kist.spec.devices import Device, DeviceRequest
from kist.spec.docker.create import read_create
from kist.spec.image import Healthcheck
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, Networking, PortBinding
from kist.spec.resources import DeviceRate, Resources, Ulimit

MB = 1 << 20
SECOND = 1_000_000_000


def body(*argv: str) -> dict[str, Any]:
    return create_body(parse(COMMAND, argv), {"HOME": "/me"}, "/here")


def limits(**values: Any) -> dict[str, Any]:
    return {"resources": Resources(**values)}


def net(**values: Any) -> dict[str, Any]:
    return {"networking": Networking(**values)}


def on(network: str, **values: Any) -> dict[str, Any]:
    return {"network": network} | net(endpoints=(Endpoint(network, **values),))


def ports(*bindings: PortBinding) -> dict[str, Any]:
    exposed = tuple(dict.fromkeys(f"{each.port}/{each.protocol}" for each in bindings))
    return net(ports=bindings, exposed_ports=exposed)


# What is written, and what of ContainerOptions differs from the default.
ROWS: list[tuple[list[str], dict[str, Any]]] = [
    (["--rm"], {"auto_remove": True}),
    (["--restart", "always"], {"restart": RestartPolicy("always")}),
    (["--restart", "on-failure:4"], {"restart": RestartPolicy("on-failure", 4)}),
    (["--timeout", "7"], {"timeout": 7}),
    (["--stop-signal", "SIGUSR1"], {"stop_signal": "USR1"}),
    (["--stop-timeout", "-1"], {"stop_timeout": -1}),
    (["-l", "a=b", "--label", "c"], {"labels": {"a": "b", "c": ""}}),
    (["--annotation", "a=b=c"], {"annotations": {"a": "b=c"}}),
    (["--cidfile", "/tmp/x"], {"container_id_file": "/tmp/x"}),
    (["-e", "A=1", "-e", "HOME", "-e", "NONE"], {"env": ("A=1", "HOME=/me")}),
    (["-w", "/w"], {"working_dir": "/w"}),
    (["-u", "1:2"], {"user": "1:2"}),
    (["--group-add", "video", "--group-add", "44"], {"group_add": ("video", "44")}),
    (["--entrypoint", "/e"], {"entrypoint": ("/e",)}),
    (["--init"], {"init": True}),
    (["-i"], {"open_stdin": True, "stdin_once": True}),
    (["-t"], {"tty": True}),
    (["-a", "STDERR"], {"attach_stdout": False}),
    (["-i", "-a", "stdin", "--attach=stdout"],
     {"open_stdin": True, "stdin_once": True, "attach_stdin": True, "attach_stderr": False}),
    (["-v", "data:/x:ro"], {"mounts": (Mount("volume", "data", "/x", ("ro",)),)}),
    (["-v", "./d:/x"], {"mounts": (Mount.bind("/here/d", "/x"),)}),
    (["-v", "/anonymous"], {"mounts": (Mount("volume", "", "/anonymous"),)}),
    (["--mount", "type=bind,src=d,dst=/x,ro,bind-propagation=rslave"],
     {"mounts": (Mount("bind", "/here/d", "/x", ("ro", "rslave")),)}),
    (["--mount", "source=v,target=/x,volume-nocopy"], {"mounts": (Mount("volume", "v", "/x", ("nocopy",)),)}),
    (["--tmpfs", "/t:size=1m"], {"mounts": (Mount.tmpfs("/t", "size=1m"),)}),
    (["--volumes-from", "other:ro"], {"volumes_from": ("other:ro",)}),
    (["--volume-driver", "local"], {"volume_driver": "local"}),
    (["--read-only"], {"read_only": True}),
    (["--shm-size", "1m"], limits(shm_size=MB)),
    (["--storage-opt", "size=1g"], {"storage_options": {"size": "1g"}}),
    (["-m", "64m"], limits(memory=64 * MB)),
    (["--memory-reservation", "8m"], limits(memory_reservation=8 * MB)),
    (["--memory-swap", "-1"], limits(memory_swap=-1)),
    (["--memory-swap", "1g"], limits(memory_swap=1 << 30)),
    (["--memory-swappiness", "0"], limits(memory_swappiness=0)),
    (["--oom-kill-disable"], limits(oom_kill_disable=True)),
    (["--oom-score-adj", "-500"], {"oom_score_adj": -500}),
    (["--cpus", "1.5"], limits(nano_cpus=1_500_000_000)),
    (["-c", "512"], limits(cpu_shares=512)),
    (["--cpu-period", "50000"], limits(cpu_period=50000)),
    (["--cpu-quota", "25000"], limits(cpu_quota=25000)),
    (["--cpu-rt-period", "1000"], limits(cpu_realtime_period=1000)),
    (["--cpu-rt-runtime", "900"], limits(cpu_realtime_runtime=900)),
    (["--cpuset-cpus", "0-1,3"], limits(cpuset_cpus="0-1,3")),
    (["--cpuset-mems", "0"], limits(cpuset_mems="0")),
    (["--pids-limit", "9"], limits(pids=9)),
    (["--pids-limit", "-1"], {"resources": Resources(pids=-1)}),
    (["--ulimit", "nofile=10:20", "--ulimit", "core=-1"],
     limits(ulimits=(Ulimit("nofile", 10, 20), Ulimit("core", -1, -1)))),
    (["--cgroup-parent", "/mine"], {"cgroup_parent": "/mine"}),
    (["--kernel-memory", "8m"], {}),
    (["--cpu-count", "1"], {}),
    (["--cpu-percent", "1"], {}),
    (["--io-maxbandwidth", "1m"], {}),
    (["--io-maxiops", "1"], {}),
    (["--blkio-weight", "300"], limits(blkio_weight=300)),
    (["--blkio-weight-device", "/dev/a:400"], limits(blkio_weight_devices=(DeviceRate("/dev/a", 400),))),
    (["--device-read-bps", "/dev/a:1mb"], limits(read_bps=(DeviceRate("/dev/a", MB),))),
    (["--device-write-bps", "/dev/a:2k"], limits(write_bps=(DeviceRate("/dev/a", 2048),))),
    (["--device-read-iops", "/dev/a:7"], limits(read_iops=(DeviceRate("/dev/a", 7),))),
    (["--device-write-iops", "/dev/a:8"], limits(write_iops=(DeviceRate("/dev/a", 8),))),
    (["--network", "host"], {"network": "host"}),
    (["--net", "container:web"], {"network": "container:web"}),
    (["--network", "name=mine,alias=a,alias=b,ip=10.0.0.9,ip6=fd00::9,mac-address=92:d0:c6:0a:29:33,driver-opt=k=v"],
     on("mine", aliases=("a", "b"), ip="10.0.0.9", ip6="fd00::9", mac="92:d0:c6:0a:29:33", driver_options={"k": "v"})),
    (["--network", "name=mine,gw-priority=7"], on("mine", priority=7)),
    (["--network", "mine", "--network", "name=other,alias=x"],
     {"network": "mine"} | net(endpoints=(Endpoint("mine"), Endpoint("other", aliases=("x",))))),
    (["--network", "mine:alias=a,ip=10.0.0.9"], on("mine", aliases=("a",), ip="10.0.0.9")),
    (["-p", "8080:80"], ports(PortBinding(80, "tcp", "", "8080"))),
    (["-p", "80"], ports(PortBinding(80))),
    (["-p", "0:80"], ports(PortBinding(80))),
    (["-p", "127.0.0.1:0:80"], ports(PortBinding(80, "tcp", "127.0.0.1"))),
    (["-p", "published=0,target=80"], ports(PortBinding(80))),
    (["-p", "127.0.0.1::53/udp"], ports(PortBinding(53, "udp", "127.0.0.1"))),
    (["-p", "[::1]:8080:80"], ports(PortBinding(80, "tcp", "::1", "8080"))),
    (["-p", "::1:8080:80"], ports(PortBinding(80, "tcp", "::1", "8080"))),
    (["-p", "8000-8001:80-81/sctp"], ports(PortBinding(80, "sctp", "", "8000"), PortBinding(81, "sctp", "", "8001"))),
    (["-p", "8000-8010:80"], ports(PortBinding(80, "tcp", "", "8000-8010"))),
    (["-p", "90-91"], ports(PortBinding(90), PortBinding(91))),
    (["-p", "published=8080,target=80,protocol=udp"], ports(PortBinding(80, "udp", "", "8080"))),
    (["-P"], net(publish_all=True)),
    (["--expose", "80-81/udp"], net(exposed_ports=("80/udp", "81/udp"))),
    (["-h", "box"], {"hostname": "box"}),
    (["--domainname", "d"], {"domainname": "d"}),
    (["--network", "mine", "--network-alias", "a", "--net-alias", "b"], on("mine", aliases=("a", "b"))),
    (["--network", "mine", "--ip", "10.0.0.9"], on("mine", ip="10.0.0.9")),
    (["--ip6", "fd00::1"], on("bridge", ip6="fd00::1")),
    (["--link-local-ip", "169.254.3.4"], on("bridge", link_local_ips=("169.254.3.4",))),
    (["--mac-address", "92-D0-C6-0A-29-33"], on("bridge", mac="92:d0:c6:0a:29:33")),
    (["--link", "db", "--link", "web:w"], net(links=("db:db", "web:w"))),
    (["--add-host", "a:10.0.0.1", "--add-host", "b=[fd00::1]", "--add-host", "h:host-gateway"],
     net(extra_hosts=("a:10.0.0.1", "b:fd00::1", "h:host-gateway"))),
    (["--dns", "10.0.0.1", "--dns", "fd00::1"], net(dns=("10.0.0.1", "fd00::1"))),
    (["--dns-search", "a.example", "--dns-search", "."], net(dns_search=("a.example", "."))),
    (["--dns-opt", "ndots:2", "--dns-option", "rotate"], net(dns_options=("ndots:2", "rotate"))),
    (["--cap-add", "net_admin"], {"cap_add": ("NET_ADMIN",)}),
    (["--cap-drop", "ALL"], {"cap_drop": ("ALL",)}),
    (["--privileged"], {"privileged": True}),
    (["--security-opt", "no-new-privileges:true", "--security-opt", "apparmor=mine", "--security-opt", "label=disable"],
     {"security_options": ("no-new-privileges", "apparmor=mine", "label=disable")}),
    (["--security-opt", "seccomp=unconfined"], {"security_options": ("seccomp=unconfined",)}),
    (["--security-opt", "systempaths=unconfined"], {"masked_paths": (), "readonly_paths": ()}),
    (["--userns", "auto:size=5"], {"namespaces": Namespaces(user="auto:size=5")}),
    (["--pid", "container:a"], {"namespaces": Namespaces(pid="container:a")}),
    (["--ipc", "shareable"], {"namespaces": Namespaces(ipc="shareable")}),
    (["--uts", "host"], {"namespaces": Namespaces(uts="host")}),
    (["--cgroupns", "host"], {"namespaces": Namespaces(cgroup="host")}),
    (["--sysctl", "net.ipv4.ip_forward=1"], {"sysctls": {"net.ipv4.ip_forward": "1"}}),
    (["--runtime", "crun"], {"runtime": "crun"}),
    (["--isolation", "default"], {}),
    (["--device", "/dev/a:/dev/b:r", "--device", "/dev/c", "--device", "/dev/d:rw"],
     {"devices": (Device("/dev/a", "/dev/b", "r"), Device("/dev/c"), Device("/dev/d", "", "rw"))}),
    (["--device", "vendor.com/class=one", "--device", "vendor.com/class=two"],
     {"device_requests": (DeviceRequest(driver="cdi", ids=("vendor.com/class=one", "vendor.com/class=two")),)}),
    (["--device-cgroup-rule", "c 189:* rwm"], limits(device_rules=("c 189:* rwm",))),
    (["--gpus", "all"], {"device_requests": (DeviceRequest(count=-1, capabilities=(("gpu",),)),)}),
    (["--gpus", "2"], {"device_requests": (DeviceRequest(count=2, capabilities=(("gpu",),)),)}),
    (["--gpus", '"device=0,1",driver=nvidia,"capabilities=utility,gpu"'],
     {"device_requests": (DeviceRequest("nvidia", 0, ("0", "1"), (("gpu", "utility"),)),)}),
    (["--health-cmd", "test -e /ok", "--health-interval", "1m30s", "--health-timeout", "500ms", "--health-retries", "2",
      "--health-start-period", "1.5s", "--health-start-interval", "2s"],
     {"healthcheck": Healthcheck(("CMD-SHELL", "test -e /ok"), 90 * SECOND, SECOND // 2, 3 * SECOND // 2, 2 * SECOND,
                                 2)}),
    (["--no-healthcheck"], {"healthcheck": Healthcheck(("NONE",))}),
    (["--health-on-failure", "kill"], {"health_on_failure": "kill"}),
    (["--log-driver", "local", "--log-opt", "max-size=1m"], {"log": LogConfig("local", {"max-size": "1m"})}),
]  # fmt: skip

# Of the client alone, or tested elsewhere because they need more than a row.
ELSEWHERE = {
    "name", "replace", "label_file", "pull", "platform", "quiet", "disable_content_trust", "use_api_socket", "env_file",
    "env_host", "as_me", "rootfs",
}  # fmt: skip


@pytest.mark.parametrize(("argv", "expected"), ROWS, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_an_option_reaches_the_engine(argv: list[str], expected: dict[str, Any]) -> None:
    assert read_create(body(*argv, "img")) == ContainerOptions(image="img", **expected)


def test_no_option_is_without_a_row() -> None:
    covered = {key for argv, _ in ROWS for key in parse(COMMAND, [*argv, "img"]).values}
    assert {option.key for option in CONTAINER_OPTIONS} - covered == ELSEWHERE


def test_labels_of_a_file_come_before_those_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text("\ufeff# comment\na=file\nbare\nb=2\n", encoding="utf-8")
    assert body("--label-file", str(path), "-l", "a=line", "i")["Labels"] == {"a": "line", "bare": "", "b": "2"}


def test_a_root_file_system_takes_the_place_of_the_image() -> None:
    options = read_create(body("--rootfs", "tree", "sh", "-c", "true"))
    assert (options.image, options.rootfs, options.command) == ("", "/here/tree", ("sh", "-c", "true"))


def test_a_seccomp_profile_is_read_by_the_client(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{\n  "defaultAction": "SCMP_ACT_ALLOW"\n}\n')
    found = body("--security-opt", f"seccomp={path}", "i")["HostConfig"]["SecurityOpt"]
    assert [option.replace(" ", "") for option in found] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']


def test_several_networks_have_each_their_own_settings() -> None:
    made = body("--network", "name=a,alias=x", "--network", "b", "--ip6", "fd00::2", "i")
    assert made["HostConfig"]["NetworkMode"] == "a"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {
        "a": {"Aliases": ["x"], "IPAMConfig": {"IPv6Address": "fd00::2"}},
        "b": {},
    }


def test_links_on_a_network_of_ones_own_are_the_endpoints() -> None:
    made = body("--network", "mine", "--link", "db", "i")
    assert made["NetworkingConfig"]["EndpointsConfig"] == {"mine": {"Links": ["db:db"]}}


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--rm", "--restart", "always"], "Conflicting options: --restart and --rm"),
        (["-d", "-a", "stdout"], "Conflicting options: -a and -d"),
        (["--replace"], "--replace needs --name"),
        (["--no-healthcheck", "--health-retries", "1"], "--no-healthcheck conflicts with --health-* options"),
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--network", "a", "--network", "a"], "network 'a' is specified multiple times"),
        (["--network", "a", "--network", "host"], "--network host goes with no other network"),
        (["--network", "name=a,alias=x", "--network-alias", "y"], "--network-alias and alias="),
        (["--network", "name=a,ip=10.0.0.1", "--ip", "10.0.0.2"], "--ip, --ip6 or --link-local-ip and an address"),
        (["--network", "name=a,mac-address=92:d0:c6:0a:29:33", "--mac-address", "92:d0:c6:0a:29:34"],
         "--mac-address and mac-address="),
        (["--as-me", "-u", "1"], "--as-me and --user"),
    ],
)  # fmt: skip
def test_options_that_exclude_each_other(argv: list[str], text: str) -> None:
    with pytest.raises(KistError) as caught:
        body(*argv, "img")
    assert text in str(caught.value)
    assert caught.value.exit_code == 125


def test_rm_goes_with_a_policy_that_never_restarts() -> None:
    assert read_create(body("--rm", "--restart", "no", "i")).auto_remove


def test_no_image_is_told() -> None:
    with pytest.raises(UsageError, match="an image is needed"):
        body("--rm")


def test_the_engines_socket_is_not_handed_out() -> None:
    with pytest.raises(Unsupported, match="--use-api-socket"):
        body("--use-api-socket", "i")


def test_who_calls_is_told_where_that_matters() -> None:
    made = read_create(body("--userns", "keep-id:uid=5", "img"))
    assert made.namespaces.user == "keep-id:uid=5"
    assert made.caller is not None
    assert made.caller.uid == os.getuid()
    assert read_create(body("--userns", "auto", "img")).caller is None
