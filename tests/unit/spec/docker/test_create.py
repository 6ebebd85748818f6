import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Caller, ContainerOptions, LogConfig, Namespaces, RestartPolicy
from kist.spec.devices import Device, DeviceRequest
from kist.spec.docker.create import read_create, write_create
from kist.spec.docker.resources import NUMBERS, RATES, TEXTS
from kist.spec.image import Healthcheck
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, Networking, PortBinding
from kist.spec.resources import DeviceRate, Resources, Ulimit

# What `docker run --rm -i -v /tmp:/x:ro --tmpfs /t:size=1m -m 100m busybox true` sends, version 20.10.
CLI_20 = (
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Tty":false,'
    '"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":["true"],"Image":"busybox","Volumes":{},"WorkingDir":"",'
    '"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":["/tmp:/x:ro"],"ContainerIDFile":"",'
    '"LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no",'
    '"MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"CapAdd":null,"CapDrop":null,'
    '"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",'
    '"Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,'
    '"ReadonlyRootfs":false,"SecurityOpt":null,"Tmpfs":{"/t":"size=1m"},"UTSMode":"","UsernsMode":"","ShmSize":0,'
    '"ConsoleSize":[0,0],"Isolation":"","CpuShares":0,"Memory":104857600,"NanoCpus":0,"CgroupParent":"",'
    '"BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,'
    '"BlkioDeviceReadIOps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,'
    '"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,'
    '"DeviceRequests":null,"KernelMemory":0,"KernelMemoryTCP":0,"MemoryReservation":0,"MemorySwap":0,'
    '"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":null,"CpuCount":0,"CpuPercent":0,'
    '"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},'
    '"NetworkingConfig":{"EndpointsConfig":{}}}'
)
# What `docker create -it --mount type=bind,src=/tmp,dst=/m --mount type=tmpfs,dst=/y,tmpfs-size=100 --cpus 1.5
# --pids-limit 5 --init busybox` sends, version 28.2.
CLI_28 = (
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Tty":true,'
    '"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":null,"Image":"busybox","Volumes":{},"WorkingDir":"",'
    '"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"",'
    '"LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no",'
    '"MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],'
    '"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,'
    '"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,'
    '"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,'
    '"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":1500000000,"CgroupParent":"","BlkioWeight":0,'
    '"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],'
    '"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,'
    '"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,'
    '"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":5,"Ulimits":[],'
    '"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"Mounts":[{"Type":"bind","Source":"/tmp",'
    '"Target":"/m"},{"Type":"tmpfs","Target":"/y","TmpfsOptions":{"SizeBytes":100}}],"MaskedPaths":null,'
    '"ReadonlyPaths":null,"Init":true},"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,'
    '"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"",'
    '"Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,'
    '"DNSNames":null}}}}'
)


def body(host: dict[str, object] | None = None, **fields: object) -> dict[str, object]:
    return {"Image": "busybox", "HostConfig": host or {}, **fields}


def test_what_docker_20_sends_is_understood_whole():
    assert read_create(json.loads(CLI_20), "web") == ContainerOptions(
        image="busybox",
        name="web",
        command=("true",),
        mounts=(Mount.tmpfs("/t", "size=1m"), Mount.bind("/tmp", "/x", read_only=True)),
        resources=Resources(memory=100 << 20),
        open_stdin=True,
        stdin_once=True,
        attach_stdin=True,
        auto_remove=True,
    )


def test_what_docker_28_sends_is_understood_whole():
    assert read_create(json.loads(CLI_28)) == ContainerOptions(
        image="busybox",
        mounts=(Mount.bind("/tmp", "/m"), Mount.tmpfs("/y", "size=100")),
        resources=Resources(nano_cpus=1_500_000_000, pids=5),
        tty=True,
        open_stdin=True,
        stdin_once=True,
        attach_stdin=True,
        init=True,
    )


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ({"FromTheFuture": 1}, "HostConfig.FromTheFuture"),
        ({"Mounts": [{"Type": "npipe", "Target": "/x"}]}, "npipe"),
        (
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/x", "BindOptions": {"Novel": True}}]},
            "Novel",
        ),
    ],
)
def test_a_setting_that_would_change_behaviour_is_refused_by_its_name(host: dict[str, object], named: str):
    with pytest.raises(Unsupported, match="not supported") as caught:
        read_create(body(host))
    assert named in caught.value.message
    assert caught.value.hint


def test_a_container_is_on_the_network_of_its_mode_first_and_then_on_others():
    told = {"other": {"Aliases": ["x"]}, "mine": {"GwPriority": 3, "IPAddress": "10.9.9.9"}}
    made = read_create(body({"NetworkMode": "mine"}, NetworkingConfig={"EndpointsConfig": told}))
    assert made.networking.endpoints == (Endpoint("mine", priority=3), Endpoint("other", aliases=("x",)))


def test_what_no_endpoint_has_is_refused_by_its_name():
    with pytest.raises(Unsupported, match="Moon"):
        read_create(body(NetworkingConfig={"EndpointsConfig": {"bridge": {"Moon": "full"}}}))


@pytest.mark.parametrize(
    "fields",
    [
        {"Healthcheck": {"Test": None, "Interval": 0}},
        {"NetworkingConfig": None},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": None}}}},
        {"HostConfig": {"MemorySwappiness": -1, "KernelMemory": 5, "Isolation": "default", "Runtime": "kist"}},
    ],
)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, object]):
    assert read_create(body(**fields)) == ContainerOptions(image="busybox")


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"Image": ""}, "no image"),
        ({"Image": 7}, "Image must be a string"),
        ({"Env": "A=1"}, "Env must be an array"),
        ({"Env": [1]}, "Env must hold strings"),
        ({"Cmd": {"a": 1}}, "Cmd must be an array"),
        ({"Tty": "yes"}, "Tty must be a boolean"),
        ({"Labels": {"a": 1}}, "Labels must hold strings"),
        ({"HostConfig": []}, "HostConfig must be an object"),
        ({"HostConfig": {"Memory": "1g"}}, "Memory must be an integer"),
        ({"HostConfig": {"Memory": True}}, "Memory must be an integer"),
        ({"HostConfig": {"Ulimits": ["nofile"]}}, "Ulimits must hold objects"),
        ({"HostConfig": {"BlkioWeightDevice": [{"Path": "/dev/x", "Weight": "9"}]}}, "Weight must be an integer"),
        ({"HostConfig": {"Devices": [{"PathOnHost": ""}]}}, "PathOnHost is empty"),
        ({"HostConfig": {"Devices": [{"PathOnHost": "/dev/fuse", "CgroupPermissions": "rx"}]}}, "mode: rx"),
        ({"HostConfig": {"DeviceRequests": [{"Capabilities": ["gpu"]}]}}, "Capabilities must hold arrays"),
        ({"HostConfig": {"Isolation": "hyperv"}}, "hyperv"),
        ({"HostConfig": {"PortBindings": {"http": []}}}, "invalid port 'http'"),
        ({"HostConfig": {"PortBindings": {"70000": []}}}, "invalid port '70000'"),
        ({"HostConfig": {"PortBindings": {"80/icmp": []}}}, "unknown protocol"),
        ({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}}, "on-failure"),
        ({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}}, "negative"),
        ({"ExposedPorts": {"0/tcp": {}}}, "invalid port"),
        ({"Healthcheck": {"Test": "true"}}, "Test must be an array"),
        ({"HostConfig": {"ShmSize": -1}}, "SHM size"),
        ({"HostConfig": {"Binds": ["./a:/b"]}}, "absolute"),
        ({"HostConfig": {"Binds": ["/a:/b", "/c:/b"]}}, "Duplicate mount point: /b"),
        ({"HostConfig": {"Mounts": ["/a"]}}, "Mounts must hold objects"),
        ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "a", "Target": "/b"}]}}, "must be absolute"),
        ({"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}, "unknown policy"),
        ({"KistCaller": {"uid": "x"}}, "KistCaller"),
    ],
)
def test_a_wrong_type_or_value_is_named(changed: dict[str, object], part: str):
    with pytest.raises(InvalidInput) as caught:
        read_create(body() | changed)
    assert part in caught.value.message


@pytest.mark.parametrize(("name", "kept"), [("", ""), ("/web", "web"), ("a.b-c_d", "a.b-c_d")])
def test_a_name_may_have_dockers_slash(name: str, kept: str):
    assert read_create(body(), name).name == kept


@pytest.mark.parametrize("name", ["/", "-a", "a b", "a/b", "ä", "//a"])
def test_a_name_that_no_container_can_have_is_refused(name: str):
    with pytest.raises(InvalidInput, match="Invalid container name"):
        read_create(body(), name)


@pytest.mark.parametrize(
    ("written", "meant"), [(None, None), ([], ()), ([""], ()), ("", ()), ("sh", ("sh",)), (["sh", "-c"], ("sh", "-c"))]
)
def test_entrypoint_none_is_the_images_and_an_empty_one_clears_it(written: object, meant: tuple[str, ...] | None):
    assert read_create(body(Entrypoint=written)).entrypoint == meant


def test_volumes_of_the_body_are_anonymous_volumes_unless_a_mount_has_their_target():
    options = read_create(body({"Binds": ["/src:/data"]}, Volumes={"/data": {}, "/cache": {}}))
    assert options.mounts == (Mount("volume", "", "/cache"), Mount.bind("/src", "/data"))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"Source": ""}, 'invalid mount config for type "image": field Source must not be empty'),
        ({"Source": "x", "ImageOptions": {"Subpath": "/a"}}, "subpath must be a relative path within the volume"),
        (
            {"Source": "x", "ImageOptions": {"Subpath": "a/../../b"}},
            "subpath must be a relative path within the volume",
        ),
        ({"Source": "x", "VolumeOptions": {"NoCopy": True}}, "field VolumeOptions must not be specified"),
        ({"Source": "x", "KistChown": True}, "KistChown is for mounts of type bind or volume"),
        (
            {"Type": "volume", "Source": "x", "ImageOptions": {"Subpath": "a"}},
            "field ImageOptions must not be specified",
        ),
    ],
)
def test_a_mounted_image_is_named_and_has_no_other_options(entry: dict[str, Any], said: str):
    with pytest.raises(InvalidInput, match=said):
        read_create(body({"Mounts": [{"Type": "image", "Target": "/b", **entry}]}))


def test_mounts_come_parents_first_whatever_their_spelling():
    host = {"Binds": ["/src:/a/b", "/src:/a-b"], "Tmpfs": {"/a": ""}, "Mounts": [{"Type": "tmpfs", "Target": "/a/b/c"}]}
    assert [mount.target for mount in read_create(body(host)).mounts] == ["/a", "/a/b", "/a/b/c", "/a-b"]


def test_network_disabled_is_the_network_mode_none():
    assert read_create(body(NetworkDisabled=True)).network == "none"


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
names = st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}\Z")
paths = st.from_regex(r"\A(/[a-z0-9 ._-]{1,8}x){1,3}\Z")
commands = st.lists(words, min_size=1, max_size=4).map(tuple)
flags = st.sets(st.sampled_from(["ro", "z", "rshared"]), max_size=2).map(sorted).map(tuple)
words_of_volumes = st.one_of(
    st.sets(st.sampled_from(["ro", "z", "nocopy"]), max_size=2).map(sorted).map(tuple),
    st.sampled_from([("ro", "nocopy", "subpath=a/b", "volume-label=a=b", "volume-opt=o=x,y"), ("subpath=a",)]),
)
mounts = st.one_of(
    st.builds(Mount, st.just("bind"), paths, paths, flags),
    st.builds(Mount, st.just("volume"), names.filter(lambda name: "." not in name[:1]), paths, words_of_volumes),
    st.builds(Mount, st.just("volume"), st.just(""), paths, st.sampled_from([(), ("ro",)])),
    st.builds(Mount.tmpfs, paths, st.sampled_from(["size=64m", "mode=1777"])),
    st.builds(
        Mount, st.just("image"), words.filter(bool), paths, st.sampled_from([(), ("ro",), ("ro", "subpath=a/b")])
    ),
)
lists = st.lists(words, max_size=2).map(tuple)
tables = st.dictionaries(words, words, max_size=2)
ports = st.integers(1, 65535)
# The mode's own is the first, so it is none of these.
endpoints = st.builds(
    Endpoint,
    names.filter(bool).map("net-{}".format),
    lists,
    words,
    words,
    lists,
    words,
    lists,
    tables,
    st.integers(-9, 9),
)
options = st.builds(
    ContainerOptions,
    image=words.filter(bool),
    name=names,
    command=st.none() | commands,
    entrypoint=st.none() | st.just(()) | commands.filter(lambda words: words != ("",)),
    env=st.lists(words, max_size=3).map(tuple),
    working_dir=words,
    user=words,
    hostname=words,
    mounts=st.lists(mounts, max_size=4, unique_by=lambda mount: mount.target).map(
        lambda found: tuple(sorted(found, key=lambda mount: mount.target.split("/")))
    ),
    network=st.sampled_from(["bridge", "host", "none"]),
    networking=st.builds(
        Networking,
        endpoints=st.lists(endpoints, max_size=3, unique_by=lambda each: each.network).map(tuple),
        links=lists,
        extra_hosts=lists,
        dns=lists,
        dns_search=lists,
        dns_options=lists,
        ports=st.lists(
            st.builds(PortBinding, ports, st.sampled_from(["tcp", "udp"]), words, words),
            max_size=3,
            unique_by=lambda port: (port.port, port.protocol),
        ).map(tuple),
        publish_all=st.booleans(),
        exposed_ports=st.lists(ports.map("{}/tcp".format), max_size=2, unique=True).map(tuple),
    ),
    namespaces=st.builds(Namespaces, words, words, words, words, words),
    resources=st.builds(
        Resources,
        **dict.fromkeys(NUMBERS, st.integers(0, 1 << 50)),
        **dict.fromkeys(TEXTS, words),
        **dict.fromkeys(RATES, st.lists(st.builds(DeviceRate, words, st.integers(0, 1 << 40)), max_size=2).map(tuple)),
        memory_swappiness=st.integers(-1, 100),
        oom_kill_disable=st.booleans(),
        pids=st.integers(0, 4_000_000),
        shm_size=st.integers(1, 1 << 40),
        ulimits=st.lists(st.builds(Ulimit, words, st.integers(-1, 1 << 62), st.integers(-1, 1 << 62)), max_size=2).map(
            tuple
        ),
        device_rules=lists,
    ),
    devices=st.lists(
        st.builds(Device, words.filter(bool), words, st.sampled_from(["rwm", "r"])).filter(
            lambda device: device.target != device.source
        ),
        max_size=2,
    ).map(tuple),
    device_requests=st.lists(
        st.builds(DeviceRequest, words, st.integers(-1, 8), lists, st.lists(lists, max_size=2).map(tuple), tables),
        max_size=2,
    ).map(tuple),
    **dict.fromkeys(("cap_add", "cap_drop", "group_add", "security_options", "volumes_from"), lists),
    **dict.fromkeys(("masked_paths", "readonly_paths"), st.none() | lists),
    **dict.fromkeys(
        ("rootfs", "domainname", "volume_driver", "cgroup_parent", "health_on_failure", "container_id_file"), words
    ),
    **dict.fromkeys(("storage_options", "sysctls", "annotations", "labels"), tables),
    **dict.fromkeys(
        (
            "read_only",
            "init",
            "tty",
            "open_stdin",
            "stdin_once",
            "attach_stdin",
            "attach_stdout",
            "attach_stderr",
            "auto_remove",
            "privileged",
        ),
        st.booleans(),
    ),
    runtime=words.filter(lambda name: name != "kist"),
    oom_score_adj=st.integers(-1000, 1000),
    timeout=st.integers(0, 1 << 31),
    restart=st.sampled_from([RestartPolicy(), RestartPolicy("always"), RestartPolicy("on-failure", 3)]),
    log=st.builds(LogConfig, words, tables),
    healthcheck=st.none() | st.builds(Healthcheck, commands, *[st.integers(0, 1 << 50)] * 5),
    stop_signal=words,
    stop_timeout=st.integers(-1, 1 << 31),
    caller=st.none() | st.builds(Caller, st.integers(0, 1 << 31), st.just(1), st.just((1, 2)), words, words),
)


@given(options)
def test_options_survive_the_way_through_dockers_json(given_options: ContainerOptions):
    sent = json.loads(json.dumps(write_create(given_options)))
    assert read_create(sent, given_options.name) == given_options
